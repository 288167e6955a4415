"""What is compared."""

from dataclasses import dataclass, field


@dataclass
class Row:
    name: str
    work: str  # train, reward, decode, prefill or ppo
    model: str
    batch: int
    seq: int
    vocab: int
    new: int = 0
    targets: float = 0  # share of the tokens that have a loss; 0: all
    lora: int = 0  # rank of an adapter that is trained in place of the weights
    steps: int = 2  # of a round, after one to warm up
    # Whether torch.compile is faster than eager execution, by precision, as
    # `run.sh --tune` tells.
    compile: dict = field(default_factory=dict)
    # Whether PyTorch is measured as installed, too.
    installed: bool = False
    # Whether PyTorch's bf16 is measured where the processor has no instructions
    # for it: it is many times slower than its fp32 there.
    emulated: bool = False

    # Whether only fp32 is measured.
    fp32_only: bool = False

    def peers(self) -> list:
        """The names of the other sides, PyTorch as installed apart."""
        if self.model == SMOLLM2 and self.work in ("train", "reward"):
            return ["transformers"]
        return {"train": ["torch"], "decode": ["torch", "llama.cpp"], "prefill": ["torch", "llama.cpp"], "ppo": ["trl"]}[self.work]

    def arguments(self, precision: str, steps: int) -> list:
        """The flags that alma and the peers share."""
        out = [self.work, "--model", self.model, "--batch", self.batch, "--seq", self.seq, "--vocab", self.vocab]
        if self.new:
            out += ["--new", self.new]
        if self.targets:
            out += ["--targets", self.targets]
        if self.lora:
            out += ["--lora-rank", self.lora]
        return [str(a) for a in out + ["--precision", precision, "--steps", steps, "--threads", 2]]


# Published models are fine-tuned whole or by adapters.
SMOLLM2 = "bench/peers/smollm2-135m.json"
GPT2 = dict(model="gpt2-124m", vocab=50257)

ROWS = [
    Row("train GPT-2 124M, 4 × 64", "train", batch=4, seq=64, steps=4, installed=True, **GPT2),
    Row("train GPT-2 124M, 4 × 256", "train", batch=4, seq=256, installed=True, **GPT2),
    Row("train GPT-2 124M, 1 × 1024", "train", batch=1, seq=1024, **GPT2),
    Row("train Llama-shaped 12×768, 4 × 256", "train", "llama:12x768", 4, 256, 50257),
    Row("train 4×128, vocabulary 65, 12 × 64", "train", "4x128", 12, 64, 65, steps=50, installed=True, emulated=True),
    Row("train 6×384, vocabulary 65, 8 × 256", "train", "6x384", 8, 256, 65, steps=5, installed=True),
    Row("train 8×512, vocabulary 8192, 4 × 512", "train", "8x512", 4, 512, 8192, steps=2),
    Row("decode GPT-2 124M, batch 1, 64 + 64", "decode", batch=1, seq=64, new=64, steps=3, emulated=True, installed=True, **GPT2),
    Row("decode GPT-2 124M, batch 16, 64 + 64", "decode", batch=16, seq=64, new=64, steps=2, installed=True, **GPT2),
    Row("prefill GPT-2 124M, 512 tokens", "prefill", batch=1, seq=512, steps=4, installed=True, **GPT2),
    # Of dialogues about two thirds of the tokens are the assistant's.
    Row("SFT SmolLM2-135M, adapter of rank 8, 1 × 512", "train", SMOLLM2, 1, 512, 49152, targets=.65, lora=8, fp32_only=True),
    Row("SFT SmolLM2-135M, whole, 1 × 512", "train", SMOLLM2, 1, 512, 49152, targets=.65, fp32_only=True),
    Row("reward model SmolLM2-135M, adapter of rank 8, 1 × 2 × 512", "reward", SMOLLM2, 1, 512, 49152, lora=8, fp32_only=True),
    Row("PPO iteration 6×384, vocabulary 4096, 32 × (16 + 48)", "ppo", "6x384", 32, 16, 4096, new=48, steps=1),
    Row("PPO iteration SmolLM2-135M, 8 × (64 + 64)", "ppo", SMOLLM2, 8, 64, 49152, new=64, steps=1, fp32_only=True),
]

PRECISIONS = ["fp32", "bf16"]
