"""Local servers for painters: plain files as Apache sends them, and what is asked of a Hub."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Host:
    """Files by path. asked: what came, as method and path; break_at: bytes after which the next
    answers stop, one each; redirects: path to address."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    break_at: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    answer: Callable[[Any], bool] = lambda _handler: False
    url: str = ""


@contextmanager
def hosting(host: Host, secret: ssl.SSLContext | None = None) -> Iterator[Host]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urllib.parse.urlsplit(self.path).path
            host.asked.append(f"{self.command} {self.path}")
            if host.answer(self):
                return
            if path in host.redirects:
                self.reply(302, b"", Location=host.redirects[path])
            elif path in host.files:
                self.send(host.files[path])
            else:
                self.reply(404, b"gone")

        do_HEAD = do_POST = do_GET  # noqa: N815

        def send(self, data: bytes, **headers: str) -> None:
            """Whole, or from where it broke off; until it is to break."""
            tag = f'"{hashlib.sha256(data).hexdigest()}"'
            asked = self.headers.get("Range")
            host.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            same = self.headers.get("If-Range", tag) == tag
            part = data[start:] if same else data
            self.send_response(206 if asked and same else 200)
            if asked and same:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            for name, value in {"ETag": tag, "Content-Length": str(len(part)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if host.break_at:
                self.wfile.write(part[: host.break_at.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(part)

        def reply(self, code: int, data: bytes, **headers: str) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        def log_message(self, *_: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Who asked has gone, which tests do on purpose."""

    listening = Server(("127.0.0.1", 0), Handler)
    if secret is not None:
        listening.socket = secret.wrap_socket(listening.socket, server_side=True)
    host.url = f"http{'s' if secret else ''}://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield host
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@dataclass
class Hub:
    """The few routes of the Hugging Face Hub that are used, over repositories in memory."""

    host: Host
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    large: bool = True  # whether the Hub tells the SHA-256 of painters, as of large files
    licence: str = "cc0-1.0"

    def commit(self, name: str) -> str:
        """Of a repository as it is now."""
        files = self.repositories[name]
        whole = b"".join(key.encode() + value for key, value in sorted(files.items()))
        return hashlib.sha1(whole).hexdigest()

    def __call__(self, handler: Any) -> bool:
        parts = [urllib.parse.unquote(p) for p in handler.path.partition("?")[0].split("/")][1:]
        if parts[:3] == ["api", "repos", "create"]:
            return self._create(handler)
        if parts[:2] == ["api", "validate-yaml"]:
            asked = json.loads(handler.body())
            good = asked["content"].startswith("---\nlicense: ")
            self._json(handler, {"errors": [] if good else ["no licence"], "warnings": []})
            return True
        if parts[:2] == ["api", "models"]:
            name, rest = "/".join(parts[2:4]), parts[4:]
            if name not in self.repositories:
                self._missing(handler)
            elif rest[:1] in ([], ["revision"]):
                self._info(handler, name, rest[1] if rest else None)
            elif rest[:1] == ["preupload"]:
                asked = json.loads(handler.body())["files"]
                files = [{"path": f["path"], "uploadMode": "regular"} for f in asked]
                self._json(handler, {"files": [{**f, "shouldIgnore": False} for f in files]})
            elif rest[:1] == ["tree"]:
                files = self.repositories[name]
                listed = [
                    {"type": "file", "path": p, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                    for p, d in files.items()
                ]
                self._json(handler, listed)
            elif rest[:1] == ["commit"]:
                self._commit(handler, name)
            else:
                return False
            return True
        if len(parts) > 4 and parts[2] == "resolve":
            name, file = "/".join(parts[:2]), "/".join(parts[4:])
            data = self.repositories.get(name, {}).get(file)
            if data is None:
                handler.reply(404, b"", X_Error_Code="EntryNotFound")
            else:
                handler.send(data, X_Repo_Commit=parts[3])
            return True
        return False

    def _json(self, handler: Any, value: Any) -> None:
        handler.reply(200, json.dumps(value).encode(), Content_Type="application/json")

    def _missing(self, handler: Any) -> None:
        handler.reply(404, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="none")

    def _info(self, handler: Any, name: str, revision: str | None) -> None:
        if revision not in (None, "main", self.commit(name)):
            handler.reply(404, b"{}", X_Error_Code="RevisionNotFound")
            return
        siblings = []
        for path, data in self.repositories[name].items():
            large = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            lfs = {"lfs": {**large, "pointerSize": 1}} if self.large else {}
            siblings.append({"rfilename": path, "size": len(data), **lfs})
        self._json(
            handler,
            {
                "id": name,
                "sha": self.commit(name),
                "siblings": siblings,
                "cardData": {"license": self.licence},
                "tags": [],
                "private": False,
                "downloads": 0,
            },
        )

    def _create(self, handler: Any) -> bool:
        asked = json.loads(handler.body())
        owner = asked.get("organization") or "me"
        name = asked["name"] if "/" in asked["name"] else f"{owner}/{asked['name']}"
        there = name in self.repositories
        self.repositories.setdefault(name, {})
        # Of which of the two it is told depends on the library's version.
        self.private[name] = asked.get("private") is True or asked.get("visibility") == "private"
        answer = {"url": f"{self.host.url}/{name}", "name": name, "id": name}
        data = json.dumps(answer).encode()
        handler.reply(409 if there else 200, data, Content_Type="application/json")
        return True

    def _commit(self, handler: Any, name: str) -> None:
        for line in handler.body().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                self.repositories[name][value["path"]] = base64.b64decode(value["content"])
        answer = {
            "commitUrl": f"{self.host.url}/{name}/commit/{self.commit(name)}",
            "commitOid": self.commit(name),
            "success": True,
        }
        self._json(handler, answer)
