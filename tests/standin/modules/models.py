"""Loading. The table of loaders is local to load_model, as in the webui."""

from modules import shared
from modules.logging_colors import logger
from modules.models_settings import get_model_metadata


def load_model(model_name, loader=None):
    table = {'Transformers': transformers_loader, 'llama.cpp': llama_cpp_server_loader}
    loader = loader or shared.args.loader or get_model_metadata(model_name)['loader']
    shared.model_name = model_name
    shared.args.loader = loader
    logger.info(f'Loading {model_name}')
    return table[loader](model_name)


def transformers_loader(model_name):
    return f'{model_name} by transformers', 'its tokenizer'


def llama_cpp_server_loader(model_name):
    return f'{model_name} by llama.cpp', 'its tokenizer'


def unload_model(keep_model_name=False):
    shared.model = shared.tokenizer = None
