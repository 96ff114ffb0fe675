/** The reference page: one file that renders /api_v1.json and needs nothing else. Its script: docs-script.ts. */
import { DOCS_SCRIPT } from './docs-script.ts';

const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --raised: #f5f6f8; --line: #d9dde3; --text: #1c2128; --dim: #56606c; --accent: #b3402a;
  --get: #1f6f43; --post: #1b5fa8; --patch: #8a5a00; --delete: #b3261e; --ws: #6a3fb5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --raised: #1c2127; --line: #343b44; --text: #e4e8ec; --dim: #a2acb7; --accent: #ff8a70;
    --get: #6fce9a; --post: #7cb7f5; --patch: #e3b04f; --delete: #ff8d85; --ws: #bb9cf7; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
code, pre { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 2; background: var(--ground); padding: .5rem 1rem; }
#page { display: grid; grid-template-columns: 20rem minmax(0, 1fr); max-width: 90rem; margin: 0 auto; }
header { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.25rem 1rem 2rem 1.25rem; border-right: 1px solid var(--line); background: var(--raised); }
header h1 { margin: 0 0 .75rem; font-size: 1.25rem; }
header h1 small { font-weight: normal; color: var(--dim); }
input { width: 100%; padding: .45rem .6rem; font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--dim); border-radius: 6px; }
#found { margin: .35rem 0 0; min-height: 1.5em; font-size: .85rem; color: var(--dim); }
nav h2 { margin: 1rem 0 .25rem; font-size: .8rem; letter-spacing: .04em; text-transform: uppercase; color: var(--dim); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .15rem .4rem; border-radius: 4px; color: inherit; text-decoration: none; font-size: .875rem; overflow-wrap: anywhere; }
nav a:hover, nav a[aria-current] { background: var(--line); }
nav b { font-size: .7rem; margin-right: .35rem; }
#contents > summary { display: none; }
main { padding: 1.5rem 2rem 6rem; min-width: 0; }
main h2 { margin: 2.5rem 0 .5rem; text-transform: capitalize; }
main h4 { margin: 1.25rem 0 .35rem; font-size: .95rem; }
details.item { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; background: var(--ground); }
details.item > summary { cursor: pointer; padding: .55rem .8rem; border-radius: 8px; }
details.item > summary:hover, details.item[open] > summary { background: var(--raised); }
details.item > div { padding: .25rem 1rem 1rem; }
summary .what { color: var(--dim); margin-left: .35rem; }
.method { display: inline-block; min-width: 3.6rem; font-size: .8rem; font-weight: 700; }
.GET { color: var(--get); } .POST { color: var(--post); } .PATCH { color: var(--patch); } .DELETE { color: var(--delete); } .WS { color: var(--ws); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
table table { width: auto; margin: .25rem 0; }
th { text-align: left; font-size: .8rem; color: var(--dim); font-weight: 600; }
th, td { vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
tr:last-child > td { border-bottom: 0; }
td:first-child > code { white-space: nowrap; }
ul.shapes { margin: 0; padding-left: 1.1rem; }
pre { margin: 0; padding: .7rem .9rem; background: var(--raised); border-radius: 6px; white-space: pre-wrap; }
.dim { color: var(--dim); }
[hidden] { display: none !important; }
@media (max-width: 56rem) {
  #page { display: block; }
  header { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); padding: 1rem; }
  #contents > summary { display: list-item; cursor: pointer; padding: .35rem 0; }
  main { padding: 1rem 1rem 4rem; }
  summary .what { display: block; margin-left: 0; }
  main thead { display: none; }
  main table, main tbody, main tr, main td { display: block; width: 100%; }
  main tr { border-bottom: 1px solid var(--line); padding: .35rem 0; }
  main tr:last-child { border-bottom: 0; }
  main td { border: 0; padding: 0 0 0 .9rem; }
  main td:first-child { padding-left: 0; }
}
`;

/** The page itself. */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Coral: the API</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#main">To the reference</a>
<div id="page">
<header>
<h1>Coral <small id="version"></small></h1>
<input id="search" type="search" placeholder="Search ( / )" aria-label="Search paths, fields and types" autocomplete="off">
<p id="found" role="status"></p>
<details id="contents" open><summary>Contents</summary><nav aria-label="Contents"></nav></details>
</header>
<main id="main" tabindex="-1">Reading <a href="/api_v1.json">/api_v1.json</a> …</main>
</div>
<script>${DOCS_SCRIPT}</script>
</body>
</html>
`;
