"""Stage 2: the text encoder learns, before any denoiser exists, what each caption looks like.

From the end marker on, every position of the output has to tell the picture: linear heads read from
it the subject, the background colour, the principal components of the artwork and a thumbnail of the
finished picture. The denoiser then finds the picture in its conditioning and need not learn language.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from sdtui.starter.artwork import Artwork, composite, palette, prepare
from sdtui.starter.captions import Caption, Grammar
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import BACKGROUNDS, TOKENS, ArtworkConfig, TextConfig
from sdtui.starter.networks import build_text_encoder
from sdtui.starter.tokenizer import corpus, read_tokenizer, train_tokenizer

_SHORT = 20
"""Most training sequences are cut to this many tokens; no caption of the grammar is longer."""
_THUMBNAIL = 16


class Heads(nn.Module):
    """What is read from one hidden state (…, width); used in this stage only."""

    def __init__(self, width: int, subjects: int, components: int) -> None:
        super().__init__()
        self.subject = nn.Linear(width, subjects)
        self.background = nn.Linear(width, len(BACKGROUNDS) + 1)
        self.components = nn.Linear(width, components)
        self.thumbnail = nn.Linear(width, 3 * _THUMBNAIL * _THUMBNAIL)


class Targets:
    """What the heads have to say, as tables indexed by subject and background."""

    def __init__(self, artwork: Artwork, components: int) -> None:
        drawn = artwork.rgba[:, 0]
        small = functional.avg_pool2d(drawn.to(torch.float32) / 255.0, 2).flatten(1)
        centred = small - small.mean(0)
        _, scales, directions = torch.linalg.svd(centred, full_matrices=False)
        spread = scales[:components] / math.sqrt(len(centred))
        scores = centred @ directions[:components].T / spread.sqrt()
        self.components = scores / scores.std()
        """(subjects, components)"""
        colours = palette()
        self.thumbnails = torch.stack(
            [
                functional.avg_pool2d(
                    composite(drawn, colour.expand(len(drawn), 3)), 64 // _THUMBNAIL
                ).flatten(1)
                for colour in colours
            ],
            dim=1,
        )
        """(subjects, backgrounds, 3 * 16 * 16) in -1..1"""


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str], length: int) -> torch.Tensor:
    """Padded token ids, int64, (texts, length)."""
    ids = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True).input_ids
    return torch.tensor(ids)


def load_text_encoder(work: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """The trained text encoder, frozen, and its tokenizer."""
    tokenizer = read_tokenizer(work / "tokenizer")
    state = load(work / "text.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'text.pt'}: train the text stage first")
    model = build_text_encoder(
        TextConfig(vocabulary=len(tokenizer)), tokenizer.bos_token_id, tokenizer.eos_token_id
    )
    model.load_state_dict(state["model"])
    return model.eval().requires_grad_(False), tokenizer


def is_held_out(subject: int, background: int) -> bool:
    """Whether this pair of thing and colour is kept from the training of the text encoder."""
    return (subject * 7 + background * 13) % 29 == 0


def draw_captions(grammar: Grammar, count: int, generator: random.Random) -> list[Caption]:
    """Random captions, one in fifty empty, without the held-out pairs."""
    captions: list[Caption] = []
    while len(captions) < count:
        subject = generator.randrange(len(grammar.names))
        background = generator.randrange(len(BACKGROUNDS))
        if generator.random() < 0.02:
            captions.append(Caption("", None, None))
        elif not is_held_out(subject, background):
            captions.append(grammar.caption(subject, background, generator))
    return captions


def train_text(work: Path, config: TextConfig) -> None:
    """Train until the time is used up; a stopped run goes on where its checkpoint left off."""
    torch.manual_seed(config.seed)
    artwork = prepare(work, ArtworkConfig())
    grammar = Grammar(artwork.names, artwork.synonyms)
    if not (work / "tokenizer" / "merges.txt").exists():
        train_tokenizer(corpus(grammar), config.vocabulary, work / "tokenizer")
    tokenizer = read_tokenizer(work / "tokenizer")
    targets = Targets(artwork, config.components)

    model = build_text_encoder(
        TextConfig(**{**vars(config), "vocabulary": len(tokenizer)}),
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
    )
    heads = Heads(config.width, len(artwork), config.components)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    path = work / "text.pt"
    step, seconds = 0, 0.0
    state = load(path)
    if state is not None:
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    generator = random.Random(f"{config.seed} {step}")

    budget = config.minutes * 60.0
    last = saved = time.monotonic()
    while seconds < budget:
        rate = config.learning_rate * min(1.0, (step + 1) / 100)
        rate *= 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * seconds / budget))
        for group in optimizer.param_groups:
            group["lr"] = rate
        long = step % 8 == 7
        captions = draw_captions(grammar, config.batch // (4 if long else 1), generator)
        loss, parts = _loss(model, heads, targets, captions, tokenizer, TOKENS if long else _SHORT)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        now = time.monotonic()
        seconds += min(now - last, 60.0)
        last = now
        if step % 100 == 0:
            print(f"text step {step} {seconds:.0f} s {parts}", flush=True)
        if now - saved > 120.0 or seconds >= budget:
            saved = now
            save(
                path,
                {
                    "model": model.state_dict(),
                    "heads": heads.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "seconds": seconds,
                },
            )
            print(f"text step {step} {report(model, heads, targets, grammar, tokenizer)}", flush=True)


def _loss(
    model: CLIPTextModel,
    heads: Heads,
    targets: Targets,
    captions: Sequence[Caption],
    tokenizer: CLIPTokenizer,
    length: int,
) -> tuple[torch.Tensor, str]:
    ids = token_ids(tokenizer, [caption.text for caption in captions], length)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(ids).last_hidden_state.float()
    ended = (ids == tokenizer.eos_token_id) & (torch.rand(ids.shape) < 6.0 / length)
    first = (ids == tokenizer.eos_token_id).int().argmax(1)
    ended[torch.arange(len(ids)), first] = True
    row, _ = ended.nonzero(as_tuple=True)
    read = hidden[ended]

    subject = torch.tensor([-1 if c.subject is None else c.subject for c in captions])[row]
    told = torch.tensor([-1 if c.background is None else c.background for c in captions])[row]
    background = torch.where(told < 0, len(BACKGROUNDS), told)
    drawn, placed = subject >= 0, (subject >= 0) & (told >= 0)

    which = functional.cross_entropy(heads.subject(read[drawn]), subject[drawn])
    behind = functional.cross_entropy(heads.background(read), background)
    shape = functional.mse_loss(heads.components(read[drawn]), targets.components[subject[drawn]])
    look = functional.mse_loss(
        heads.thumbnail(read[placed]), targets.thumbnails[subject[placed], told[placed]]
    )
    loss = 0.3 * which + 0.3 * behind + shape + 3.0 * look
    parts = (
        f"subject {which.item():.3f} background {behind.item():.3f}"
        f" components {shape.item():.3f} thumbnail {look.item():.4f}"
    )
    return loss, parts


@torch.inference_mode()
def report(
    model: CLIPTextModel,
    heads: Heads,
    targets: Targets,
    grammar: Grammar,
    tokenizer: CLIPTokenizer,
) -> str:
    """How often the picture read from a caption is nearest to its own subject; also on new pairs."""
    generator = random.Random(5)
    colours = len(BACKGROUNDS)
    pairs = [(s, b) for s in range(len(grammar.names)) for b in range(colours)]
    unseen = generator.sample([pair for pair in pairs if is_held_out(*pair)], 200)
    seen = generator.sample([pair for pair in pairs if not is_held_out(*pair)], 400)
    lines: list[str] = []
    for label, chosen in (("seen", seen), ("unseen pairs", unseen)):
        captions = [grammar.caption(s, b, generator) for s, b in chosen]
        ids = token_ids(tokenizer, [caption.text for caption in captions], TOKENS)
        hidden = model.eval()(ids).last_hidden_state
        model.train()
        first = (ids == tokenizer.eos_token_id).int().argmax(1)
        subject = torch.tensor([s for s, _ in chosen])
        told = torch.tensor([colours if c.background is None else c.background for c in captions])
        for place, states in (
            ("end", hidden[torch.arange(len(ids)), first]),
            ("last", hidden[:, -1]),
        ):
            nearest = torch.cdist(heads.components(states), targets.components).argmin(1)
            right = (nearest == subject).float().mean()
            behind = (heads.background(states).argmax(1) == told).float().mean()
            lines.append(f"{label}/{place}: subject {right:.1%} background {behind:.1%}")
    return "; ".join(lines)
