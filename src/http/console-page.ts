/** Where a browser lands after logging in, as long as there is no web console: what is there instead. */

/** Needs nothing from elsewhere and runs no script. */
export const CONSOLE_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Coral</title>
<style>
:root { color-scheme: light dark; }
body { max-width: 38rem; margin: 15vh auto; padding: 0 1.25rem; font: 16px/1.5 system-ui, sans-serif; }
</style>
</head>
<body>
<h1>Coral</h1>
<p>The server runs. This version has no web console yet.</p>
<ul>
<li><a href="/ui/docs">The reference of its API</a>, sockets and webhooks included.</li>
<li><a href="/api/v1/local/namespace/extended">What runs now</a>, as JSON; needs a log-in.</li>
<li>On the command line: <code>coral ps</code>, <code>coral logs</code>, <code>coral --help</code>.</li>
</ul>
</body>
</html>
`;
