"""The widget that shows a Bokeh layout alive. Beside `surface`, since it needs jupyter_bokeh."""

import threading
from typing import Any

from jupyter_bokeh.widgets import BokehModel


class View(BokehModel):
    """Shows what Python says. An echo from the page would apply every change twice, and threads
    that send at once would mix their messages."""

    page: Any  # what it shows
    _sending = threading.RLock()

    def draw(self) -> None:
        """Show it as it is by now in the places where it will be put: they begin with the state in
        which it was made, while sliders beside it were moved."""
        self.render_bundle = self._model_to_traits(self._model)

    def close(self) -> None:
        """Close it once, since Python closes what it forgets."""
        if self.comm is not None:
            super().close()

    def _document_patched(self, event: Any) -> None:
        with self._sending:
            super()._document_patched(event)

    def _sync_model(self, model: Any, content: dict, buffers: Any) -> None:
        if content.get("kind") == "MessageSent":  # a gesture
            super()._sync_model(model, content, buffers)
