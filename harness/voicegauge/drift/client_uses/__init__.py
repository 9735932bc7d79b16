"""Finds out which changes of a document affect one client, from what the client sends and reads."""

from voicegauge.drift.client_uses.affected_changes import adjust_levels_for_client
from voicegauge.drift.client_uses.client_use_loading import VOICEGAUGE_CLIENT, load_client_uses
from voicegauge.drift.client_uses.client_uses import ClientUses, OperationUse

__all__ = ["VOICEGAUGE_CLIENT", "ClientUses", "OperationUse", "adjust_levels_for_client", "load_client_uses"]
