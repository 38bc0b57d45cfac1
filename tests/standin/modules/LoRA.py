"""LoRAs of peft on the loaded model."""

from modules import shared


def add_lora_to_model(lora_names):
    add_lora_transformers(lora_names)


def add_lora_transformers(lora_names):
    merge_loras()
    shared.model.half()
    shared.lora_names = lora_names


def merge_loras():
    shared.model.merged = list(shared.lora_names)
