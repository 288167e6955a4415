"""Writes defaults.json: the keys of transformers 5.24.0's configuration classes of
the families here, with their defaults, and of GenerationConfig.

    python defaults.py
"""
import json, os
from transformers import BertConfig, Gemma3TextConfig, GenerationConfig, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

classes = (GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, Gemma3TextConfig, BertConfig)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "defaults.json")
json.dump({"configs": [c().to_dict() for c in classes], "generation": GenerationConfig().to_dict()}, open(path, "w"), indent=1)
