"""Flows as services: a program whose work is a flow, held while a service that it needs is gone.

Applications and the command line register flows with it.
It never changes what a flow does with an item.
"""

from notify.flows.hosting.flow_program import FlowProgram
from notify.flows.hosting.needs import NeedsGate

__all__ = ["FlowProgram", "NeedsGate"]
