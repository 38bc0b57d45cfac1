"""The smallest settings of transformers' config classes that leave no part of an architecture out, by model_type."""

import transformers

VOCABULARY = {'vocab_size': 256, 'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0}
LLAMA = VOCABULARY | {
    'hidden_size': 64,
    'intermediate_size': 128,
    'num_hidden_layers': 2,
    'num_attention_heads': 2,
    'num_key_value_heads': 1,
    'max_position_embeddings': 128,
    'tie_word_embeddings': False,
}
WIDE = LLAMA | {'head_dim': 32}
TIED = WIDE | {'tie_word_embeddings': True}
GPT = VOCABULARY | {'n_positions': 128, 'n_embd': 64, 'n_layer': 2, 'n_head': 2}
MOE = {'num_experts': 32, 'num_experts_per_tok': 2, 'moe_intermediate_size': 32}
LOCAL_MOE = {'num_local_experts': 32, 'num_experts_per_tok': 2}
DEEPSEEK = LLAMA | {
    'n_routed_experts': 32,
    'num_experts_per_tok': 2,
    'moe_intermediate_size': 32,
    'n_shared_experts': 1,
    'first_k_dense_replace': 1,
    'q_lora_rank': 32,
    'kv_lora_rank': 32,
    'qk_rope_head_dim': 16,
    'qk_nope_head_dim': 16,
    'v_head_dim': 32,
    'num_key_value_heads': 2,
    'n_group': 2,
    'topk_group': 1,
}
LINEAR_ATTENTION = {
    'linear_num_value_heads': 2,
    'linear_num_key_heads': 1,
    'linear_key_head_dim': 32,
    'linear_value_head_dim': 32,
    'layer_types': ['linear_attention', 'full_attention'],
}
MAMBA = {'mamba_n_heads': 4, 'mamba_d_head': 32, 'mamba_n_groups': 1, 'mamba_d_state': 16}
VISION = {'hidden_size': 32, 'intermediate_size': 64, 'num_hidden_layers': 1, 'num_attention_heads': 2} | {
    'image_size': 28,
    'patch_size': 14,
}
QWEN_VISION = {'hidden_size': 32, 'intermediate_size': 64, 'depth': 1, 'num_heads': 2, 'out_hidden_size': 64}
QWEN_IMAGES = {'vision_start_token_id': 250, 'image_token_id': 251, 'video_token_id': 252, 'tie_word_embeddings': False}
MROPE = {'type': 'mrope', 'mrope_section': [4, 6, 6], 'rope_type': 'default'}
GLM_MROPE = {'rope_scaling': {'rope_type': 'default', 'mrope_section': [4, 6, 6]}}
GLM_VISION = VISION | {'depth': 1, 'num_heads': 2, 'out_hidden_size': 64}
INDEXER = {'index_head_dim': 32, 'index_n_heads': 2, 'index_topk': 8, 'qk_head_dim': 32}
SMALL_GEMMA = {
    'sliding_window': 8,
    'hidden_size_per_layer_input': 32,
    'vocab_size_per_layer_input': 256,
    'num_kv_shared_layers': 0,
    'layer_types': ['sliding_attention', 'full_attention'],
}

# model_type: (config class, its settings). Models that also see are in SEEING.
CAUSAL = {
    'apertus': ('ApertusConfig', LLAMA),
    'arcee': ('ArceeConfig', LLAMA),
    'bloom': ('BloomConfig', VOCABULARY | {'hidden_size': 64, 'n_layer': 2, 'n_head': 2}),
    'codegen': ('CodeGenConfig', GPT | {'n_ctx': 128, 'n_head': 4, 'rotary_dim': 8}),
    'cohere': ('CohereConfig', LLAMA | {'tie_word_embeddings': True, 'use_qk_norm': True}),
    'cohere2': ('Cohere2Config', LLAMA | {'tie_word_embeddings': True, 'sliding_window': 8}),
    'dbrx': ('DbrxConfig', VOCABULARY | {'d_model': 64, 'n_heads': 2, 'n_layers': 2, 'max_seq_len': 128}
        | {'ffn_config': {'ffn_hidden_size': 96, 'moe_num_experts': 4, 'moe_top_k': 2},
        'attn_config': {'clip_qkv': 8.0, 'kv_n_heads': 1, 'rope_theta': 10000.0}}),
    'deepseek_v2': ('DeepseekV2Config', DEEPSEEK | {'topk_method': 'greedy', 'n_group': 1, 'head_dim': 16}),
    'deepseek_v3': ('DeepseekV3Config', DEEPSEEK | {'qk_head_dim': 32}),
    'dots1': ('Dots1Config', WIDE | MOE | {'n_routed_experts': 32, 'n_shared_experts': 1, 'n_group': 1, 'topk_group': 1}
        | {'first_k_dense_replace': 1}),
    'ernie4_5': ('Ernie4_5Config', WIDE),
    'ernie4_5_moe': ('Ernie4_5_MoeConfig', LLAMA | {'moe_num_experts': 32, 'moe_k': 2, 'moe_intermediate_size': 32}
        | {'moe_num_shared_experts': 1, 'moe_layer_start_index': 1}),
    'exaone4': ('Exaone4Config', LLAMA | {'sliding_window': 8}),
    'falcon': ('FalconConfig', VOCABULARY | {'hidden_size': 64, 'num_hidden_layers': 2, 'num_attention_heads': 2}
        | {'num_kv_heads': 1, 'new_decoder_architecture': True, 'alibi': False, 'bias': False}),
    'falcon_h1': ('FalconH1Config', WIDE | MAMBA | {'mamba_d_ssm': 128}),
    'gemma': ('GemmaConfig', TIED),
    'gemma2': ('Gemma2Config', TIED | {'sliding_window': 8, 'query_pre_attn_scalar': 32}),
    'gemma3_text': ('Gemma3TextConfig', TIED | {'sliding_window': 8, 'query_pre_attn_scalar': 32}),
    'glm': ('GlmConfig', WIDE),
    'glm4': ('Glm4Config', WIDE),
    'glm4_moe': ('Glm4MoeConfig', WIDE | MOE | {'n_routed_experts': 32, 'n_shared_experts': 1, 'n_group': 1}
        | {'topk_group': 1, 'first_k_dense_replace': 1}),
    'gpt2': ('GPT2Config', GPT),
    'gpt_bigcode': ('GPTBigCodeConfig', GPT | {'n_inner': 128, 'multi_query': True}),
    'gpt_neo': ('GPTNeoConfig', VOCABULARY | {'max_position_embeddings': 128, 'hidden_size': 64, 'num_layers': 2}
        | {'attention_types': [[['global', 'local'], 1]], 'num_heads': 2}),
    'gpt_neox': ('GPTNeoXConfig', LLAMA | {'num_key_value_heads': 2}),
    'gpt_oss': ('GptOssConfig', WIDE | LOCAL_MOE | {'sliding_window': 8}),
    'gptj': ('GPTJConfig', GPT | {'rotary_dim': 16}),
    'granite': ('GraniteConfig', LLAMA | {'embedding_multiplier': 2.0, 'logits_scaling': 2.0, 'residual_multiplier': 0.5}),
    'granitemoe': ('GraniteMoeConfig', LLAMA | LOCAL_MOE),
    'granitemoehybrid': ('GraniteMoeHybridConfig', LLAMA | LOCAL_MOE | MAMBA | {'layer_types': ['mamba', 'attention']}
        | {'shared_intermediate_size': 64}),
    'granitemoeshared': ('GraniteMoeSharedConfig', LLAMA | LOCAL_MOE | {'shared_intermediate_size': 64}),
    'helium': ('HeliumConfig', WIDE),
    'hunyuan_v1_dense': ('HunYuanDenseV1Config', WIDE),
    'hunyuan_v1_moe': ('HunYuanMoEV1Config', WIDE | {'num_experts': 32, 'moe_topk': 2}),
    'jamba': ('JambaConfig', LLAMA | {'num_experts': 32, 'num_experts_per_tok': 2, 'attn_layer_period': 2}
        | {'attn_layer_offset': 1, 'expert_layer_period': 2, 'expert_layer_offset': 1, 'use_mamba_kernels': False}),
    'lfm2': ('Lfm2Config', LLAMA | {'layer_types': ['conv', 'full_attention'], 'block_ff_dim': 128}
        | {'block_auto_adjust_ff_dim': False}),
    'lfm2_moe': ('Lfm2MoeConfig', LLAMA | MOE | {'layer_types': ['conv', 'full_attention'], 'num_dense_layers': 1}),
    'llama': ('LlamaConfig', LLAMA),
    'llama4_text': ('Llama4TextConfig', WIDE | LOCAL_MOE | {
            'num_experts_per_tok': 1, 'intermediate_size_mlp': 128}
        | {'interleave_moe_layer_step': 1}),
    'minimax': ('MiniMaxConfig', WIDE | LOCAL_MOE | {'block_size': 16}),
    'minimax_m2': ('MiniMaxM2Config', WIDE | LOCAL_MOE | {'rotary_dim': 16}),
    'ministral': ('MinistralConfig', WIDE),
    'mistral': ('MistralConfig', LLAMA | {'sliding_window': 8}),
    'mixtral': ('MixtralConfig', LLAMA | LOCAL_MOE | {'sliding_window': None}),
    'mpt': ('MptConfig', VOCABULARY | {'d_model': 64, 'n_heads': 2, 'n_layers': 2, 'max_seq_len': 128, 'expansion_ratio': 2}),
    'nemotron': ('NemotronConfig', LLAMA),
    'olmo': ('OlmoConfig', LLAMA | {'clip_qkv': 8.0}),
    'olmo2': ('Olmo2Config', LLAMA),
    'olmo3': ('Olmo3Config', LLAMA | {'sliding_window': 8}),
    'olmoe': ('OlmoeConfig', LLAMA | {'num_experts': 32, 'num_experts_per_tok': 2}),
    'opt': ('OPTConfig', VOCABULARY | {'hidden_size': 64, 'ffn_dim': 128, 'num_hidden_layers': 2, 'num_attention_heads': 2}
        | {'max_position_embeddings': 128, 'word_embed_proj_dim': 64}),
    'persimmon': ('PersimmonConfig', LLAMA),
    'phi': ('PhiConfig', LLAMA | {'num_key_value_heads': 2}),
    'phi3': ('Phi3Config', LLAMA | {'original_max_position_embeddings': 128}),
    'phimoe': ('PhimoeConfig', LLAMA | LOCAL_MOE),
    'qwen2': ('Qwen2Config', LLAMA),
    'qwen2_moe': ('Qwen2MoeConfig', LLAMA | MOE | {'shared_expert_intermediate_size': 64}),
    'qwen3': ('Qwen3Config', WIDE),
    'qwen3_moe': ('Qwen3MoeConfig', WIDE | MOE),
    'qwen3_next': ('Qwen3NextConfig', WIDE | MOE | LINEAR_ATTENTION | {'shared_expert_intermediate_size': 64}),
    'seed_oss': ('SeedOssConfig', WIDE),
    'smollm3': ('SmolLM3Config', LLAMA),
    'stablelm': ('StableLmConfig', LLAMA | {'use_qkv_bias': True}),
    'starcoder2': ('Starcoder2Config', LLAMA | {'tie_word_embeddings': True}),
    'xglm': ('XGLMConfig', VOCABULARY | {'max_position_embeddings': 128, 'd_model': 64, 'ffn_dim': 128, 'num_layers': 2}
        | {'attention_heads': 2}),
    'afmoe': ('AfmoeConfig', WIDE | MOE | {'num_shared_experts': 1, 'num_dense_layers': 1, 'sliding_window': 8}
        | {'layer_types': ['sliding_attention', 'full_attention']}),
    'cohere2_moe': ('Cohere2MoeConfig', LLAMA | MOE | {'tie_word_embeddings': True, 'sliding_window': 8}),
    'deepseek_v32': ('DeepseekV32Config', DEEPSEEK | INDEXER),
    'exaone': ('ExaoneConfig', LLAMA),
    'falcon_mamba': ('FalconMambaConfig', VOCABULARY | {'hidden_size': 64, 'num_hidden_layers': 2, 'state_size': 16}
        | {'time_step_rank': 32, 'use_mambapy': False}),
    'gemma3n_text': ('Gemma3nTextConfig', TIED | SMALL_GEMMA | {'intermediate_size': [128, 128], 'laurel_rank': 32}
        | {'altup_num_inputs': 2, 'activation_sparsity_pattern': [0.0, 0.0]}),
    'gemma4_text': ('Gemma4TextConfig', TIED | SMALL_GEMMA | {'global_head_dim': 32}),
    'glm4_moe_lite': ('Glm4MoeLiteConfig', DEEPSEEK | {'head_dim': 16, 'mlp_layer_types': ['dense', 'sparse']}),
    'glm_moe_dsa': ('GlmMoeDsaConfig', DEEPSEEK | INDEXER | {'mlp_layer_types': ['dense', 'sparse']}),
    'hy_v3': ('HYV3Config', WIDE | MOE | {'num_shared_experts': 1, 'first_k_dense_replace': 1}),
    'laguna': ('LagunaConfig', WIDE | MOE | {'sliding_window': 8}),
    'minicpm3': ('MiniCPM3Config', LLAMA | {'num_key_value_heads': 2, 'q_lora_rank': 32, 'kv_lora_rank': 32}
        | {'qk_rope_head_dim': 16, 'qk_nope_head_dim': 16, 'v_head_dim': 32}),
    'ministral3': ('Ministral3Config', WIDE | {'sliding_window': None}),
    'nemotron_h': ('NemotronHConfig', WIDE | {'layers_block_type': ['mamba', 'attention', 'moe', 'mlp'], 'num_hidden_layers': 4}
        | {'mamba_num_heads': 4, 'mamba_head_dim': 32, 'ssm_state_size': 16, 'n_groups': 1, 'use_mamba_kernels': False}
        | {'n_routed_experts': 32, 'num_experts_per_tok': 2, 'moe_intermediate_size': 32, 'n_shared_experts': 1}
        | {'moe_shared_expert_intermediate_size': 64, 'n_group': 1, 'topk_group': 1}),
    'solar_open': ('SolarOpenConfig', WIDE | MOE | {'n_routed_experts': 32, 'n_shared_experts': 1, 'n_group': 1}
        | {'topk_group': 1}),
    'zamba2': ('Zamba2Config', LLAMA | {'num_key_value_heads': 2, 'mamba_d_state': 16, 'n_mamba_heads': 4, 'mamba_ngroups': 1}
        | {'mamba_headdim': 32, 'hybrid_layer_ids': [1], 'layers_block_type': ['mamba', 'hybrid'], 'num_mem_blocks': 1}
        | {'use_mem_rope': False, 'adapter_rank': 32, 'use_mamba_kernels': False}),
}  # fmt: skip
SEEING = {
    'gemma3': ('Gemma3Config', {
        'text_config': TIED | {'sliding_window': 8, 'query_pre_attn_scalar': 32},
        'vision_config': VISION, 'mm_tokens_per_image': 4, 'tie_word_embeddings': True}),
    'internvl': ('InternVLConfig', {
        'text_config': LLAMA | {'model_type': 'qwen2'},
        'vision_config': VISION | {'image_size': [28, 28], 'patch_size': [14, 14]},
        'tie_word_embeddings': False}),
    'llama4': ('Llama4Config', {
        'text_config': WIDE | LOCAL_MOE | {
            'num_experts_per_tok': 1, 'intermediate_size_mlp': 128, 'interleave_moe_layer_step': 2},
        'vision_config': VISION | {'projector_input_dim': 64, 'projector_output_dim': 64, 'vision_output_dim': 64},
        'tie_word_embeddings': False}),
    'llava': ('LlavaConfig', {
        'text_config': LLAMA | {'model_type': 'llama'}, 'vision_config': VISION | {'model_type': 'clip_vision_model'},
        'tie_word_embeddings': False}),
    'mistral3': ('Mistral3Config', {
        'text_config': WIDE | {'model_type': 'mistral', 'sliding_window': None},
        'vision_config': VISION | {'model_type': 'pixtral', 'head_dim': 16}, 'tie_word_embeddings': False}),
    'qwen2_vl': ('Qwen2VLConfig', QWEN_IMAGES | {
        'text_config': LLAMA | {'rope_scaling': MROPE},
        'vision_config': {'embed_dim': 32, 'hidden_size': 64, 'depth': 1, 'num_heads': 2}}),
    'qwen2_5_vl': ('Qwen2_5_VLConfig', QWEN_IMAGES | {
        'text_config': LLAMA | {'rope_scaling': MROPE}, 'vision_config': QWEN_VISION}),
    'qwen3_vl': ('Qwen3VLConfig', QWEN_IMAGES | {
        'text_config': WIDE | {'rope_scaling': {'mrope_interleaved': True, 'mrope_section': [6, 5, 5], 'rope_type': 'default'}},
        'vision_config': QWEN_VISION | {'deepstack_visual_indexes': [0]}}),
    'qwen3_vl_moe': ('Qwen3VLMoeConfig', QWEN_IMAGES | {
        'text_config': WIDE | MOE | {
            'rope_scaling': {'mrope_interleaved': True, 'mrope_section': [6, 5, 5], 'rope_type': 'default'}},
        'vision_config': QWEN_VISION | {'deepstack_visual_indexes': [0]}}),
    'qwen3_5': ('Qwen3_5Config', QWEN_IMAGES | {'text_config': WIDE | LINEAR_ATTENTION, 'vision_config': QWEN_VISION}),
    'qwen3_5_moe': ('Qwen3_5MoeConfig', QWEN_IMAGES | {
        'text_config': WIDE | MOE | LINEAR_ATTENTION | {'shared_expert_intermediate_size': 64}, 'vision_config': QWEN_VISION}),
    'deepseek_vl': ('DeepseekVLConfig', {
        'text_config': LLAMA | {'model_type': 'llama'}, 'vision_config': VISION | {'model_type': 'siglip_vision_model'},
        'tie_word_embeddings': False}),
    'gemma4': ('Gemma4Config', {
        'text_config': TIED | SMALL_GEMMA | {'global_head_dim': 32}, 'vision_config': VISION, 'audio_config': None,
        'tie_word_embeddings': True}),
    'glm4v': ('Glm4vConfig', {
        'text_config': WIDE | GLM_MROPE, 'vision_config': GLM_VISION, 'tie_word_embeddings': False}),
    'glm_ocr': ('GlmOcrConfig', {
        'text_config': WIDE | GLM_MROPE, 'vision_config': GLM_VISION, 'tie_word_embeddings': False}),
    'lfm2_vl': ('Lfm2VlConfig', {
        'text_config': LLAMA | {'model_type': 'lfm2', 'layer_types': ['conv', 'full_attention'], 'block_ff_dim': 128}
        | {'block_auto_adjust_ff_dim': False},
        'vision_config': VISION | {'model_type': 'siglip2_vision_model', 'num_patches': 16}}),
    'ovis2': ('Ovis2Config', {
        'text_config': LLAMA | {'model_type': 'qwen2'}, 'vision_config': VISION | {'vocab_size': 64, 'hidden_stride': 1},
        'tie_word_embeddings': False, 'vocab_size': 256, 'hidden_size': 64}),
}  # fmt: skip


def has(model_type):
    """Whether the installed transformers has it."""
    return hasattr(transformers, (CAUSAL | SEEING)[model_type][0])


def build(model_type, **changes):
    """A model of random weights; of a model that also sees, the whole."""
    kind, settings = (CAUSAL | SEEING)[model_type]
    config = getattr(transformers, kind)(**(settings | changes))
    auto = transformers.AutoModelForImageTextToText if model_type in SEEING else transformers.AutoModelForCausalLM
    return auto.from_config(config)


def auto_class(model_type):
    """The Auto class of plain transformers that reads a twin: that of text alone where it serves."""
    causal = transformers.AutoModelForCausalLM
    kind = getattr(transformers, (CAUSAL | SEEING)[model_type][0])
    text_only = kind in causal._model_mapping and model_type != 'gemma3'
    return causal if model_type in CAUSAL or text_only else transformers.AutoModelForImageTextToText
