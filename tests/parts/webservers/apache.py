"""Apache httpd, with what a test says in the server's own section."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.parts.processes import free_ports
from tests.parts.webservers.program import lay_out, serving

__all__ = ["apache"]

_MODULES = ("mpm_event", "authn_core", "authz_core", "alias", "headers", "proxy", "proxy_http")
# `combined` and `vhost_combined` are as Debian's apache2.conf has them.
_CONFIG = r"""
{load}
ServerName www.riverside.example
ServerRoot {folder}
PidFile {folder}/apache.pid
Listen 127.0.0.1:{port}
User www-data
Group www-data
ErrorLog {folder}/error.log
DocumentRoot {root}
FileETag None
KeepAlive On
MaxKeepAliveRequests 0
<Directory {root}>
  Require all granted
</Directory>
<Location /secret>
  Require all denied
</Location>
Redirect 204 /nothing
Redirect 301 /moved /page-1.txt
Redirect 500 /broken
ProxyPass /away http://127.0.0.1:1/
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{{Referer}}i\" \"%{{User-Agent}}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{{Referer}}i\" \"%{{User-Agent}}i\"" combined
{logging}
"""


@contextlib.contextmanager
def apache(folder: Path, logging: str) -> Iterator[int]:
    """Its port."""
    (port,) = free_ports(1)
    load = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in _MODULES)
    folder.mkdir(parents=True, exist_ok=True)
    # It answers as www-data, who may not enter the folders of tests.
    with tempfile.TemporaryDirectory() as name:
        root = lay_out(Path(name))
        root.chmod(0o755)
        config = folder / "apache.conf"
        config.write_text(_CONFIG.format(folder=folder, root=root, port=port, load=load, logging=logging))
        with serving(["apache2", "-D", "FOREGROUND", "-f", config], port, out=folder / "apache.out"):
            yield port
