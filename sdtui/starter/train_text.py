"""Stage 1: the text encoder learns, before any denoiser exists, what each caption looks like.

From the end marker on, every position of the output tells of one thing: of two, even positions of the
one on the left or above, odd ones of the other. Linear heads read from it the
subject, the style, the box, the background, the principal components of the artwork, and a thumbnail of
that thing alone in its place. The denoiser then finds the picture in its conditioning and need not
learn language.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from sdtui.starter import device, loop
from sdtui.starter.artwork import Artwork, prepare, resized
from sdtui.starter.captions import Caption, Grammar
from sdtui.starter.checkpoint import load
from sdtui.starter.config import BACKGROUNDS, STYLES, TOKENS, TextConfig
from sdtui.starter.networks import build_text_encoder
from sdtui.starter.render import thumbnail
from sdtui.starter.scene import SceneSource, boxes
from sdtui.starter.tokenizer import corpus, read_tokenizer, train_tokenizer

_SHORT = 40
"""Most training sequences are cut to this many tokens; hardly a caption of the grammar is longer."""
_THUMBNAIL = 16
_COARSE = 32
"""Height and width at which the artwork's components are found."""


class Heads(nn.Module):
    """What is read from one hidden state (…, width); used in this stage only."""

    def __init__(self, width: int, subjects: int, components: int) -> None:
        super().__init__()
        self.subject = nn.Linear(width, subjects)
        self.style = nn.Linear(width, len(STYLES))
        self.background = nn.Linear(width, len(BACKGROUNDS) + 1)
        self.box = nn.Linear(width, 3)
        self.components = nn.Linear(width, components)
        self.thumbnail = nn.Linear(width, 3 * _THUMBNAIL * _THUMBNAIL)


def components(artwork: Artwork, count: int) -> torch.Tensor:
    """Principal components of the artwork at 32 px, (subjects, styles, count), of unit spread."""
    small = np.stack([[resized(drawn, _COARSE) for drawn in styles] for styles in artwork.rgba])
    flat = torch.from_numpy(small).to(device.current()).flatten(2).flatten(0, 1).float() / 255.0
    centred = flat - flat.mean(0)
    count = min(count, *centred.shape)
    torch.manual_seed(0)  # it draws at random, and a run that goes on has to find the same directions
    _, _, directions = torch.svd_lowrank(centred, q=count, niter=4)
    scores = centred @ directions
    scores = scores / scores.std(0).sqrt()
    return torch.reshape(scores / scores.std(), (*small.shape[:2], count))


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str], length: int = TOKENS) -> torch.Tensor:
    """Padded token ids, int64, (texts, length)."""
    ids = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True).input_ids
    return torch.tensor(ids)


def load_text_encoder(work: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """The trained text encoder, frozen, and its tokenizer."""
    tokenizer = read_tokenizer(work / "tokenizer")
    state = load(work / "text.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'text.pt'}: train the text stage first")
    model = _build(TextConfig(), tokenizer)
    model.load_state_dict(state["model"])
    return model.eval().requires_grad_(False), tokenizer


def _build(config: TextConfig, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return build_text_encoder(
        replace(config, vocabulary=len(tokenizer)), tokenizer.bos_token_id, tokenizer.eos_token_id
    )


class TextTraining:
    """The text encoder, its heads, and what they have to say."""

    def __init__(self, work: Path, config: TextConfig) -> None:
        self.config = config
        self.artwork = prepare(work)
        self.grammar = Grammar(self.artwork.names, self.artwork.synonyms)
        self.scenes = SceneSource(len(self.artwork))
        if not (work / "tokenizer" / "merges.txt").exists():
            train_tokenizer(corpus(self.grammar), config.vocabulary, work / "tokenizer")
        self.tokenizer = read_tokenizer(work / "tokenizer")
        self.components = components(self.artwork, config.components)
        torch.manual_seed(config.seed)
        self.model = _build(config, self.tokenizer)
        self.heads = Heads(config.width, len(self.artwork), self.components.shape[2])

    def loss(self, step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        """On random captions; one batch in eight is small and of full length."""
        chosen = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
        long = step % 8 == 7
        captions = [self._caption(chosen) for _ in range(self.config.batch // (4 if long else 1))]
        ids = token_ids(self.tokenizer, [c.text for c in captions], TOKENS if long else _SHORT)
        with device.mixed_precision():
            hidden = self.model(ids).last_hidden_state.float()
        places = self._places(ids, captions, generator)
        return self._compare(hidden[places[:, 0], places[:, 1]], captions, places)

    def _caption(self, generator: random.Random) -> Caption:
        if generator.random() < 0.02:
            return Caption("", None, False)
        return self.grammar.caption(self.scenes.training(generator), generator)

    def _places(
        self, ids: torch.Tensor, captions: Sequence[Caption], generator: torch.Generator
    ) -> torch.Tensor:
        """Some positions from the end marker on, (n, 2): number of the caption, position."""
        ended = ids == self.tokenizer.eos_token_id
        looked = ended & (torch.rand(ids.shape, generator=generator) < 6.0 / ids.shape[1])
        first = ended.int().argmax(1)
        for offset in (0, 1):
            column = (first + offset).clamp(max=ids.shape[1] - 1)
            looked[torch.arange(len(captions)), column] = True
        places: torch.Tensor = looked.nonzero()
        return places

    def _compare(
        self, states: torch.Tensor, captions: Sequence[Caption], places: torch.Tensor
    ) -> tuple[torch.Tensor, loop.Metrics]:
        """How far what the heads read from states (n, width) is from what the captions say."""
        heads = self.heads
        told = torch.tensor([c.scene.background if c.scene and c.tells_background else -1 for c in captions])
        behind = torch.where(told < 0, len(BACKGROUNDS), told)[places[:, 0]]
        background = functional.cross_entropy(heads.background(states), behind)

        rows = [
            (row, caption.scene, position % len(caption.scene.things), caption.tells_background)
            for row, (number, position) in enumerate(places.tolist())
            if (caption := captions[number]).scene is not None
        ]
        drawn = torch.tensor([row for row, *_ in rows])
        read = states[drawn]
        subjects = torch.tensor([scene.things[index].subject for _, scene, index, _ in rows])
        styles = torch.tensor([scene.style for _, scene, _, _ in rows])
        where = [boxes(scene)[index] for _, scene, index, _ in rows]
        subject = functional.cross_entropy(heads.subject(read), subjects)
        style = functional.cross_entropy(heads.style(read), styles)
        box = functional.mse_loss(heads.box(read), torch.tensor([[b.x, b.y, b.side] for b in where]))
        shape = functional.mse_loss(heads.components(read), self.components[subjects, styles])

        complete = [index for index, (*_, tells) in enumerate(rows) if tells]
        looks: dict[tuple[int, int], torch.Tensor] = {}
        wanted: list[torch.Tensor] = []
        for index in complete:
            _, scene, thing, _ = rows[index]
            key = (id(scene), thing)
            if key not in looks:
                small = thumbnail(scene, thing, self.artwork, _THUMBNAIL)
                looks[key] = torch.from_numpy(small).to(device.current()).permute(2, 0, 1).flatten() * 2 - 1
            wanted.append(looks[key])
        look = functional.mse_loss(heads.thumbnail(read[torch.tensor(complete)]), torch.stack(wanted))
        loss = 0.3 * subject + 0.3 * style + 0.3 * background + 4.0 * box + shape + 3.0 * look
        metrics = {
            "subject": subject.item(), "style": style.item(), "background": background.item(),
            "box": box.item(), "components": shape.item(), "thumbnail": look.item(),
        }  # fmt: skip
        return loss, metrics

    @torch.inference_mode()
    def report(self, _step: int) -> str:
        """How often all that a caption says is read from it, for trained and held-out combinations."""
        generator = random.Random(5)
        self.model.eval()
        lines = []
        for kind in ("trained", "background", "place", "style", "pair"):
            scenes = [
                self.scenes.training(generator) if kind == "trained" else self.scenes.unseen(kind, generator)
                for _ in range(100)
            ]
            captions = [self.grammar.caption(scene, generator) for scene in scenes]
            ids = token_ids(self.tokenizer, [caption.text for caption in captions])
            hidden = self.model(ids).last_hidden_state
            lines.append(f"{kind}: {self._right(hidden, captions)}")
        self.model.train()
        return "; ".join(lines)

    def _right(self, hidden: torch.Tensor, captions: Sequence[Caption]) -> str:
        right = {"subjects": 0, "style": 0, "places": 0}
        for states, caption in zip(hidden, captions, strict=True):
            assert caption.scene is not None
            scene, last = caption.scene, states[-2:].flip(0) if TOKENS % 2 else states[-2:]
            read = last[: len(scene.things)] if len(scene.things) == 2 else last[:1]
            found = self.heads.subject(read).argmax(1).tolist()
            right["subjects"] += found == [thing.subject for thing in scene.things]
            right["style"] += self.heads.style(read).argmax(1).tolist() == [scene.style] * len(read)
            wanted = torch.tensor([[b.x, b.y, b.side] for b in boxes(scene)])
            right["places"] += bool((self.heads.box(read) - wanted).abs().max() < 0.08)
        return " ".join(f"{name} {count}%" for name, count in right.items())


def train_text(work: Path, config: TextConfig) -> None:
    """Train, or go on."""
    training = TextTraining(work, config)
    loop.run(
        loop.Stage(
            name="text",
            modules={"model": training.model, "heads": training.heads},
            schedule=loop.Schedule(config.steps, config.learning_rate),
            loss=training.loss,
            report=training.report,
            betas=(0.9, 0.98),
            seed=config.seed,
        ),
        work,
    )
