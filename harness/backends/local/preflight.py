"""What can be known to be wrong before anything is started: names, commands, links, room on the disk, taken ports."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import psutil

from harness.backends.checks import check_links, check_settings
from harness.backends.http_request import port_is_taken
from harness.backends.local.addresses import MOST_LINKS, Addresses
from harness.backends.local.layout import missing_program
from harness.model.backend import StackPlan
from harness.model.errors import BackendError, install_extra

LEAST_FREE_BYTES = 64 * 1024 * 1024


def check_plan(plan: StackPlan) -> None:
    """Raise BackendError for a plan that cannot be carried out."""
    description = plan.description
    if description.ownership != "owned":
        remedy = "the local backend starts what it owns; set x-harness.ownership to owned"
        raise BackendError(f"the stack {description.name!r} is attached, not owned", remedy=remedy)
    check_settings(plan)
    if len(plan.links) > MOST_LINKS:
        raise BackendError(f"{len(plan.links)} links are too many; the most is {MOST_LINKS}")
    check_links(plan)
    for service in description.services.values():
        for name, condition in service.depends_on.items():
            if condition == "service_healthy" and description.services[name].health is None:
                remedy = f"the local backend cannot run compose's health checks; add x-harness.health to {name!r}"
                raise BackendError(f"{service.name!r} waits for {name!r} to be healthy", remedy=remedy)
        command = service.local_command
        if command is None:
            remedy = f"add services.{service.name}.x-harness.local.command to {description.file}"
            raise BackendError(f"the service {service.name!r} has no command for the local backend", remedy=remedy)
        missing = missing_program(command, Path(description.folder))
        if missing is not None:
            remedy = f"install it, or put it on PATH; for the reference stack, {install_extra('reference')}"
            raise BackendError(f"the service {service.name!r} needs {missing!r}, which is not there", remedy=remedy)


def prepare_directories(plan: StackPlan) -> None:
    """Make the folder for the logs. Raises BackendError where it cannot be made or the disk is full."""
    try:
        (plan.run_dir / "logs").mkdir(parents=True, exist_ok=True)
        for folder in (plan.run_dir, Path(tempfile.gettempdir())):
            free = shutil.disk_usage(folder).free
            if free < LEAST_FREE_BYTES:
                what = f"the disk of {folder} is full: {free / 1e6:.0f} MB are left"
                raise BackendError(
                    what, remedy=f"free at least {LEAST_FREE_BYTES / 1e6:.0f} MB, or set TMPDIR elsewhere"
                )
    except OSError as error:
        raise BackendError(f"no place for the logs of the stack: {error}") from error


def check_ports(plan: StackPlan, addresses: Addresses) -> None:
    """Raise BackendError if something else already listens where a service is to listen."""
    for service in plan.description.services.values():
        if service.port is not None and port_is_taken(addresses.services[service.name], service.port):
            what = f"port {service.port} of the service {service.name!r} is taken{_holder(service.port)}"
            remedy = f"stop that program, or give the service another port in {plan.description.file}"
            raise BackendError(what, remedy=remedy)


def _holder(port: int) -> str:
    """Return who listens on this port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()!r} (process {connection.pid})"
    except psutil.Error:
        return " by another program"
    return " by another program"
