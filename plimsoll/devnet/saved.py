"""A whole devnet in a folder: written once, ready again in a fraction of a second, its clock going on.

```python
save_devnet(devnet, folder)
with load_devnet(folder) as again:
    again.stack.relay()
```

Withdrawals are proven against outputs that are proposed after the loading.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from plimsoll.core.errors import UserError
from plimsoll.deploy import parameters as deployment
from plimsoll.deploy.manifest import require
from plimsoll.devnet.anvil import Anvil
from plimsoll.devnet.boot import Devnet, l1_settings, l2_settings
from plimsoll.devnet.environment import find_environment
from plimsoll.devnet.opstack.contracts import registry
from plimsoll.devnet.opstack.settings import OpStackSettings
from plimsoll.devnet.opstack.stack import OpStack, signers_of
from plimsoll.devnet.state import dump, load

_ABOUT, _L1, _L2 = "devnet.json", "l1.state", "l2.state"
_MANIFEST = "manifest"


def save_devnet(devnet: Devnet, folder: Path) -> None:
    """Write it into a folder, over what is there. It goes on running; L2 is brought up to L1 before."""
    (folder / _MANIFEST).mkdir(parents=True, exist_ok=True)
    if devnet.stack is not None:
        devnet.stack.relay()
    dump(devnet.chain, folder / _L2)
    if devnet.stack is not None:
        dump(devnet.stack.l1, folder / _L1)
    manifest = folder / _MANIFEST / devnet.manifest_path.name
    shutil.copyfile(devnet.manifest_path, manifest)
    about = {
        "parameters": str(devnet.parameters.path),
        "manifest": manifest.name,
        "prices": devnet.prices,
        "rollup": None if devnet.stack is None else asdict(devnet.stack.settings),
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=2))


@contextmanager
def load_devnet(folder: Path) -> Iterator[Devnet]:
    """A devnet as it was saved, on free ports, each transaction mined at once; stopped at the end of the context.

    Raises UserError where nothing was saved.
    """
    path = folder / _ABOUT
    if not path.is_file():
        raise UserError(f"{folder}: no saved devnet; save one first")
    about = json.loads(path.read_text())
    parameters = deployment.load(about["parameters"])
    with ExitStack() as stop:
        node = stop.enter_context(Anvil(l2_settings(parameters.chain_id)))
        chain = node.chain()
        stop.callback(chain.close)
        load(chain, folder / _L2)
        stack = None
        if about["rollup"] is not None:
            l1_node = stop.enter_context(Anvil(l1_settings()))
            l1 = l1_node.chain(registry())
            stop.callback(l1.close)
            load(l1, folder / _L1)
            stack = OpStack(l1, chain, OpStackSettings(**about["rollup"]))
        manifest = folder / _MANIFEST / about["manifest"]
        yield Devnet(
            node=node,
            chain=chain,
            parameters=parameters,
            manifest=require(manifest),
            manifest_path=manifest,
            environment=find_environment(chain, parameters),
            signers=signers_of(chain) if stack is None else stack.l2_signers,
            prices=dict(about["prices"]),
            stack=stack,
        )
