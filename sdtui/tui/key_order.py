"""Keys act in the order in which they were typed."""

from __future__ import annotations

from textual import events
from textual.binding import BindingsMap
from textual.widget import Widget


async def act_in_turn(widget: Widget, bindings: BindingsMap, event: events.Key) -> bool:
    """Run the widget's own binding for a key now; False when it has none.

    Textual lets a bound key climb to the app before it acts, while a letter acts at once: of keys
    that arrive together (a slow line, a fast hand, a script) the letters would go first.
    """
    for binding in bindings.key_to_bindings.get(event.key, ()):
        event.stop()
        event.prevent_default()
        await widget.run_action(binding.action)
        return True
    return False
