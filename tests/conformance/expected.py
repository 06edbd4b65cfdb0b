"""What is to come out of PEFT's own tests."""

from __future__ import annotations

TUNERS = ("denselora", "mixed")

# PEFT's files and the fewest tests of each that pass, by tuner: that the tests are no longer found must be noticed.
FILES = {
    "test_custom_models.py": {"denselora": 600, "mixed": 180},
    "test_decoder_models.py": {"denselora": 330, "mixed": 450},
    "test_encoder_decoder_models.py": {"denselora": 100, "mixed": 130},
    "test_feature_extraction_models.py": {"denselora": 120, "mixed": 170},
    "test_seq_classifier.py": {"denselora": 70, "mixed": 100},
    "test_token_classification_qa.py": {"denselora": 16, "mixed": 24},
    "test_config.py": {"denselora": 55, "mixed": 55},
    "test_mapping.py": {"denselora": 3, "mixed": 3},
}
FEWEST_PASSES = 540

# These fail without the model hub; no other test fails.
NEEDS_HUB = {
    "test_config.py::TestPeftConfig::test_from_pretrained_cache_dir_remote": (
        "loads ybelkada/test-st-lora and looks for that name in the hub's cache folder"
    ),
}

NOT_LINEAR = "not linear in its input, so that it can't be merged"

# How the reasons begin for which tests are skipped, and what such tests are about.
_SKIPS_OF_BOTH = {
    NOT_LINEAR: "merging; the same tests pass with `activation: identity`",
    "This test does not apply to <class": "prompt tuning",
    "This test is only for prompt learning methods": "prompt learning",
    "Skip tests that are not prompt learning": "prompt learning",
    "Test not applicable for <class": "prompt learning, and weighted sums of LoRA or IA3 adapters",
    "Mixed adapter batches not supported": "LoRA and RoAd, which take an adapter name per row of the batch",
    "Testing bias warnings only for LoraConfig or BOFTConfig": "a warning of LoRA and BOFT",
}
SKIPS = {
    "denselora": {
        **_SKIPS_OF_BOTH,
        "Multiple active adapters with modules_to_save/trainable_token_indices": "merging two that save one module",
    },
    "mixed": {
        **_SKIPS_OF_BOTH,
        "This PEFT method does not support layers_to_transform": "an argument that a mixture's parts have",
        "<class 'harness.tuners.mixed.config.MixedConfig'> does not support the 'bias' argument": "trained biases",
        "This test requires the PEFT method to support training the bias directly": "trained biases",
    },
}
