"""Made-up Korean text and conversations: what the commands use where no data is given, and what tests use."""

from electra_lab.data.synthetic.chat import conversations
from electra_lab.data.synthetic.prose import documents
from electra_lab.data.synthetic.sources import sources

__all__ = ["conversations", "documents", "sources"]
