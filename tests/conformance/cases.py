"""What stands in for PEFT's lists of methods: our configurations, by file and name of the list."""

from __future__ import annotations

from typing import Any

import pytest
from peft import PeftConfig

from harness.tuners import DenseLoraConfig, MixedConfig

# "Only Matrix" is the linear variant, which merges; "Freeze" trains the matrices between random encoders and decoders;
# unshared, each layer has an encoder and a decoder of its own.
GELU: dict[str, Any] = {}
IDENTITY = {"activation": "identity"}
FREEZE = {"train_encoder_decoder": False}
UNSHARED = {"share_encoder_decoder": False}
# PEFT leaves an adapter that is added to a model in evaluation in training (its issue 3753), where dropout is random.
STILL = {"dropout": 0}

# The modules of all the models of a file; each model has at least one of either kind.
ATTENTION = ["q_proj", "v_proj", "c_attn", "q", "v", "query", "value", "in_proj", "query_proj", "value_proj"]
FEED_FORWARD = ["fc1", "fc_in", "c_fc", "gate_proj", "up_proj", "wi", "intermediate.dense"]

# File (without `test_`), its lists of configurations, and the task type that they give.
LISTS_BY_TASK = [
    ("decoder_models", "ALL_CONFIGS", "CAUSAL_LM"),
    ("encoder_decoder_models", "ALL_CONFIGS", "SEQ_2_SEQ_LM"),
    ("feature_extraction_models", "ALL_CONFIGS", "FEATURE_EXTRACTION"),
    ("seq_classifier", "ALL_CONFIGS", "SEQ_CLS"),
    ("token_classification_qa", "TOKEN_CLS_CONFIGS", "TOKEN_CLS"),
    ("token_classification_qa", "QA_CONFIGS", "QUESTION_ANS"),
]


def mixture(lora: list[str], dense: list[str], **variant: Any) -> dict[str, Any]:
    """Returns the arguments of a `MixedConfig`: LoRA on some modules, a variant of DenseLoRA on others."""
    return {
        "parts": [
            {"peft_type": "LORA", "r": 8, "target_modules": lora},
            {"peft_type": "DENSELORA", "r": 8, "target_modules": dense, **variant},
        ]
    }


def of_models(config_cls: type[PeftConfig], variants: dict[str, dict[str, Any]]) -> dict[tuple[str, str], list]:
    """Returns the lists that are crossed with transformers' models."""
    return {
        (file, name): [
            pytest.param(config_cls, {"task_type": task, **variant}, id=f"{config_cls.__name__}-{label}")
            for label, variant in variants.items()
        ]
        for file, name, task in LISTS_BY_TASK
    }


def of_custom_models(config_cls: type[PeftConfig], rows: list[tuple[str, str, dict[str, Any]]]) -> list[tuple]:
    return [(f"{config_cls.__name__} {label}", model, config_cls, arguments) for label, model, arguments in rows]


def of_two_adapters(config_cls: type[PeftConfig], rows: list[tuple[str, dict, dict]]) -> list[tuple]:
    """Both start random, as in PEFT's list: two zeros would be equal."""
    name = config_cls.__name__
    random = {"init_weights": False}
    return [(f"{name} {label}", name, config_cls, {**one, **random}, {**two, **random}) for label, one, two in rows]


def denselora() -> dict[tuple[str, str], list]:
    layers = {"lin0": {"target_modules": ["lin0"]}, "lin1": {"target_modules": ["lin1"]}}
    custom = [
        ("str", "MLP", {"target_modules": "lin0"}),
        ("one", "MLP", layers["lin0"]),
        ("two", "MLP", {"target_modules": ["lin0", "lin1"]}),
        ("rank", "MLP", {"target_modules": ["lin0"], "r": 4, "alpha": 1, "dropout": 0.1}),
        ("modules_to_save", "MLP", {"target_modules": ["lin1"], "modules_to_save": ["lin0"]}),
        ("freeze", "MLP", {"target_modules": ["lin0", "lin1"], **FREEZE}),
        ("identity", "MLP", {"target_modules": ["lin0"], **IDENTITY}),
        ("identity two", "MLP", {"target_modules": ["lin0", "lin1"], "alpha": 1, **IDENTITY}),
        ("identity freeze", "MLP", {"target_modules": ["lin0"], **IDENTITY, **FREEZE}),
        ("unshared", "MLP", {"target_modules": ["lin0", "lin1"], **UNSHARED}),
        ("identity unshared", "MLP", {"target_modules": ["lin0", "lin1"], "alpha": 1, **IDENTITY, **UNSHARED}),
        ("unshared freeze", "MLP", {"target_modules": ["lin0"], **UNSHARED, **FREEZE}),
        ("identity modules_to_save", "MLP", {"target_modules": ["lin1"], "modules_to_save": ["lin0"], **IDENTITY}),
        ("Conv1D", "EmbConv1D", {"target_modules": ["conv1d"]}),
        ("Conv1D identity", "EmbConv1D", {"target_modules": ["conv1d"], **IDENTITY}),
        ("tokens", "EmbConv1D", {"target_modules": ["conv1d"], "trainable_token_indices": {"emb": [0, 10]}}),
    ]
    two = [
        (f"{how}{label}", {**layers["lin0"], **variant, **STILL}, {**layers[other], **variant, **STILL})
        for how, variant in {"": GELU, "identity ": IDENTITY, "unshared ": UNSHARED}.items()
        for label, other in {"same": "lin0", "different": "lin1"}.items()
    ]
    variants = {"gelu": GELU, "identity": IDENTITY, "unshared": UNSHARED}
    return {
        ("custom_models", "TEST_CASES"): of_custom_models(DenseLoraConfig, custom),
        ("custom_models", "MULTIPLE_ACTIVE_ADAPTERS_TEST_CASES"): of_two_adapters(DenseLoraConfig, two),
        ("custom_models", "ALL_PEFT_CONFIG_CLASSES"): [DenseLoraConfig],
        ("config", "ALL_CONFIG_CLASSES"): [
            (DenseLoraConfig, {}),
            (DenseLoraConfig, IDENTITY),
            (DenseLoraConfig, UNSHARED),
        ],
        ("config", "LAYER_INDEXING_CONFIG_CLASSES"): [(DenseLoraConfig, {})],
        **of_models(DenseLoraConfig, variants),
    }


def mixed() -> dict[tuple[str, str], list]:
    here, there = mixture(["lin0"], ["lin1"]), mixture(["lin1"], ["lin0"])
    here_linear, there_linear = mixture(["lin0"], ["lin1"], **IDENTITY), mixture(["lin1"], ["lin0"], **IDENTITY)
    custom = [
        ("LoRA first", "MLP", here),
        ("DenseLoRA first", "MLP", there),
        ("LoRA first identity", "MLP", here_linear),
        ("DenseLoRA first identity", "MLP", there_linear),
    ]
    # Adapters of one model must agree about the method of a module, so there is no pair of different ones.
    still, still_linear = mixture(["lin0"], ["lin1"], **STILL), mixture(["lin0"], ["lin1"], **IDENTITY, **STILL)
    two = [("same", still, still), ("identity same", still_linear, still_linear)]
    variants = {
        "gelu": mixture(ATTENTION, FEED_FORWARD),
        "identity": mixture(ATTENTION, FEED_FORWARD, **IDENTITY),
        "reverse": mixture(FEED_FORWARD, ATTENTION),
        "unshared": mixture(ATTENTION, FEED_FORWARD, **UNSHARED),
    }
    return {
        ("custom_models", "TEST_CASES"): of_custom_models(MixedConfig, custom),
        ("custom_models", "MULTIPLE_ACTIVE_ADAPTERS_TEST_CASES"): of_two_adapters(MixedConfig, two),
        ("config", "ALL_CONFIG_CLASSES"): [(MixedConfig, here), (MixedConfig, there_linear)],
        **of_models(MixedConfig, variants),
    }


CASES = {"denselora": denselora, "mixed": mixed}
CONFIGS = {"denselora": DenseLoraConfig, "mixed": MixedConfig}
