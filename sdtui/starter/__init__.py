"""The built-in model and the recipe that trained it.

The finished bundle lies in ``model/`` beside this file. Everything else here is the recipe, one
command each, on a working folder of the reader's choice::

    python -m sdtui.starter.fetch      --work DIR    the artwork and its names
    python -m sdtui.starter.train text --work DIR    then ``vae``, ``unet``, ``decoder``; ``judge``
    python -m sdtui.starter.export     --work DIR    torch checkpoints -> Core ML bundle
    python -m sdtui.starter.evaluate   --work DIR    does it draw what it is asked for?
    python -m sdtui.starter.curve      --work DIR    and after how many steps?
    python -m sdtui.starter.sheet                    64 prompts, drawn

Only the recipe needs the training libraries (``diffusers``, ``transformers``, ``torch``, and to render
the artwork ``resvg-py``); using the model needs none of it.
"""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""The Core ML bundle that ships with the application."""
