"""A small Coral agent kit in plain Python 3: MCP over HTTP with nothing but the standard library.

    agent = Agent()                     # reads the environment that Coral gives
    message = agent.wait_for_mention()  # None when the time is up
    agent.send(message["threadId"], "Hello!", [message["senderName"]])
    agent.close()
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid

PROTOCOL = "2025-06-18"
# A server holds a wait for up to 55 s.
LONGEST_WAIT_MS = 55_000
REQUEST_TIMEOUT_S = 120
# How long to go on trying to reach a server that does not answer.
PATIENCE_S = 60


class ToolError(Exception):
    """A tool said no; the text is the server's sentence."""


class SessionOver(Exception):
    """The server does not know this agent (any more): leave."""


class Agent:
    """One agent's connection to its Coral server."""

    def __init__(self, environment=os.environ):
        self.url = environment.get("CORAL_CONNECTION_URL", "")
        if not self.url:
            raise RuntimeError(
                "CORAL_CONNECTION_URL is not set: this program is an agent and wants to be launched by Coral."
            )
        self.name = environment.get("CORAL_AGENT_ID", "agent")
        self._http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._last_id = 0
        self._mcp_session = None
        self._connect()

    # What an agent does

    def create_thread(self, name, participants):
        return self.tool("coral_create_thread", threadName=name, participantNames=participants)["thread"]

    def send(self, thread_id, text, mentions=()):
        # With a key of its own a message arrives once, however often it has to be sent.
        result = self.tool(
            "coral_send_message",
            again=True,
            threadId=thread_id,
            content=text,
            mentions=list(mentions),
            idempotencyKey=str(uuid.uuid4()),
        )
        return result["message"]

    def wait_for_mention(self, timeout_ms=LONGEST_WAIT_MS):
        """The oldest message that mentions this agent and was not handed over yet; None when the time is up."""
        started = time.monotonic()
        # The server remembers what it handed over: asking again is safe.
        result = self.tool("coral_wait_for_mention", again=True, maxWaitMs=timeout_ms)
        message = result.get("message")
        if message is None and (time.monotonic() - started) * 1000 < timeout_ms / 2:
            time.sleep(0.5)  # The session is ending and waits are no longer held: do not spin.
        return message

    def state(self):
        """The text of coral://state: who is there and what was said, in markdown."""
        result = self._request("resources/read", {"uri": "coral://state"}, again=True)
        return "\n".join(part.get("text", "") for part in result["contents"])

    def peers(self):
        """The other agents of the session by name, as the state tells them."""
        found = re.search(r"^# Agents\n.*?^```(?:json)?\n(.*?)\n```$", self.state(), re.M | re.S)
        return {peer["agentName"]: peer for peer in json.loads(found.group(1))} if found else {}

    def tool(self, tool_name, again=False, **arguments):
        """Calls any tool; its structured result, or its text where there is none."""
        result = self._request("tools/call", {"name": tool_name, "arguments": arguments}, again)
        text = "\n".join(part["text"] for part in result.get("content", []) if part.get("type") == "text")
        if result.get("isError"):
            raise ToolError(text)
        return result.get("structuredContent", text)

    def close(self):
        """Tells the server goodbye."""
        if self._mcp_session is None:
            return
        try:
            self._open("DELETE", None).close()
        except (OSError, SessionOver):
            pass
        self._mcp_session = None

    # How it gets there: JSON-RPC 2.0, one POST for each request

    def _connect(self):
        self._mcp_session = None
        client = {"name": self.name, "version": "1.0.0"}
        self._request(
            "initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}, again=True
        )
        self._open("POST", {"jsonrpc": "2.0", "method": "notifications/initialized"}).close()

    def _request(self, method, params, again=False):
        """Sends one request and returns its result. `again`: asking twice does no harm, so a broken line is no end."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            self._last_id += 1
            request_id = self._last_id
            try:
                with self._open(
                    "POST", {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
                ) as answer:
                    if method == "initialize":
                        self._mcp_session = answer.headers.get("mcp-session-id")
                    message = _message(answer, request_id)
                break
            except urllib.error.HTTPError as error:
                if error.code == 404 and method != "initialize":
                    self._connect()  # The server has forgotten this MCP session; nothing was done.
                    continue
                if error.code != 503 or time.monotonic() > give_up_at:
                    raise RuntimeError(f"The server answered {error.code}.") from error
            except OSError as error:
                if not again or time.monotonic() > give_up_at:
                    raise RuntimeError(f"The server cannot be reached: {error}") from error
            time.sleep(0.3)
        if "error" in message:
            raise ToolError(message["error"].get("message", "The server refused."))
        return message["result"]

    def _open(self, verb, body):
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self._mcp_session is not None:
            headers["mcp-session-id"] = self._mcp_session
            headers["mcp-protocol-version"] = PROTOCOL
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url, data=data, headers=headers, method=verb)
        try:
            return self._http.open(request, timeout=REQUEST_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                raise SessionOver("The server does not know this agent: its session is over.") from error
            raise


def _message(answer, request_id):
    """The JSON-RPC answer with this id, whether it came as plain JSON or in an event stream."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        return json.load(answer)
    data = []
    for line in answer:
        line = line.decode().rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line == "" and data:
            message = json.loads("\n".join(data))
            if message.get("id") == request_id:
                return message
            data = []
    raise ConnectionError("the answer broke off")
