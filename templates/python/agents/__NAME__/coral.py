"""A small client for Coral agents: Python's standard library and nothing else. Yours to change."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

# A wait on the server ends after 55 s at the latest; the line may take a little longer.
LONGEST_WAIT_MS = 50_000
TIMEOUT_S = 70


class ToolError(Exception):
    """The server refused; the text says why."""


class Agent:
    """This process as an agent of its session. It exits with code 0 when its part in the session is over."""

    def __init__(self, environment=os.environ):
        self.name = environment["CORAL_AGENT_ID"]
        self._url = environment["CORAL_CONNECTION_URL"]
        self._session = None
        self._last_id = 0
        # The server is never behind a proxy of the environment.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        about = {"name": self.name, "version": "0.1.0"}
        self._request(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about},
        )
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def create_thread(self, name, participants):
        """Opens a thread with these agents and oneself."""
        arguments = {"threadName": name, "participantNames": participants}
        return self.call_tool("coral_create_thread", arguments)["thread"]

    def send(self, thread_id, text, mentions=()):
        """Sends a message into a thread; those it mentions can wait for it."""
        arguments = {"threadId": thread_id, "content": text, "mentions": list(mentions)}
        return self.call_tool("coral_send_message", arguments)["message"]

    def wait_for_mention(self):
        """The next message that mentions this agent, however long it takes."""
        return self._wait("coral_wait_for_mention", {})

    def wait_for_message(self, sender=None):
        """The next message, of anybody or of one agent, however long it takes."""
        if sender is None:
            return self._wait("coral_wait_for_message", {})
        return self._wait("coral_wait_for_agent", {"agentName": sender})

    def close_session(self, reason, result=None):
        """Ends the session for everybody, with its outcome. Needs the plugin `close_session_tool`."""
        self.call_tool("coral_close_session", {"reason": reason, "result": result})

    def call_tool(self, name, arguments):
        """Calls any tool, custom tools too; returns what it answered."""
        result = self._request("tools/call", {"name": name, "arguments": arguments})
        text = "".join(part.get("text", "") for part in result.get("content", []))
        if result.get("isError"):
            raise ToolError(text)
        return result.get("structuredContent", text)

    def _wait(self, tool, arguments):
        while True:
            answer = self.call_tool(tool, {**arguments, "maxWaitMs": LONGEST_WAIT_MS})
            if answer.get("message") is not None:
                return answer["message"]
            # A session that is ending answers at once: do not ask in a tight loop.
            time.sleep(0.2)

    def _request(self, method, params):
        self._last_id += 1
        answer = self._post(
            {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        )
        if "error" in answer:
            raise ToolError(answer["error"]["message"])
        return answer["result"]

    def _post(self, message):
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._session is not None:
            headers["Mcp-Session-Id"] = self._session
        body = json.dumps(message).encode()
        request = urllib.request.Request(self._url, body, headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                self._session = response.headers.get("Mcp-Session-Id", self._session)
                text = response.read()
        except urllib.error.HTTPError as error:
            if error.code == 401:
                # The secret is no longer valid: the session is over for this agent.
                sys.exit(0)
            raise
        return json.loads(text) if text else {}
