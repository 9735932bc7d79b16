"""Says which changes of a document affect one client, by what the client sends and reads."""

from voicegauge.drift.uses.affected_changes import judge_changes
from voicegauge.drift.uses.client_uses import ClientUses, OperationUse
from voicegauge.drift.uses.reading import OWN_CLIENT, load_client_uses

__all__ = ["OWN_CLIENT", "ClientUses", "OperationUse", "judge_changes", "load_client_uses"]
