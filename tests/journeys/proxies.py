"""A real nginx before Tocsin, below a path: one that takes the path off before it passes a request on, or leaves it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from tools import test_tools

from tests.journeys.outside import until
from tests.processes import PATIENCE
from tests.use_cases.receivers import make_certificate

# What a test has to choose: ports, files, and to be no service of the machine. The rest is what the documentation says.
_DOCUMENTED = Path(__file__).parents[2] / "docs" / "deployment.md"
_CONFIG = """
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log {place}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        {certificate}
        {documented}
        # Where the neighbours of Tocsin are. Whatever leads there has lost its way.
        location / {{ return 404; }}
    }}
}}
"""


def _documented() -> str:
    """Return what docs/deployment.md has for nginx below a path, as it stands there."""
    (found,) = re.findall(r"```nginx\n(location /tocsin/ .*?)```", _DOCUMENTED.read_text(), re.DOTALL)
    return found


def client(base: str, place: Path) -> httpx.AsyncClient:
    """Somebody who believes the certificate made here, and follows nothing."""
    verify = ssl.create_default_context(cafile=place / "cert.pem") if base.startswith("https:") else True
    return httpx.AsyncClient(base_url=base, verify=verify, timeout=PATIENCE, trust_env=False)


@contextlib.asynccontextmanager
async def nginx(place: Path, *, port: int, behind: int, takes_path_off: bool, is_https: bool) -> AsyncIterator[None]:
    """Run the real program on this port of loopback until the end."""
    certificate, key = make_certificate(place, "localhost") if is_https else (None, None)
    (place / "nginx.conf").write_text(
        _CONFIG.format(
            place=place,
            port=port,
            documented=_documented().replace(":8700;", f":{behind}{'/' if takes_path_off else ''};"),
            tls=" ssl" if is_https else "",
            certificate=f"ssl_certificate {certificate}; ssl_certificate_key {key};" if is_https else "",
        )
    )
    with (place / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(
                str(test_tools.nginx()),
                "-p",
                str(place),
                "-c",
                str(place / "nginx.conf"),
                "-e",
                str(place / "error.log"),
            ),
            stdout=said,
            stderr=said,
        )
    try:

        async def listens() -> bool:
            assert process.returncode is None, (place / "said").read_text() + (place / "error.log").read_text()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return True
            return False

        await until(listens, bool)
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.wait()
