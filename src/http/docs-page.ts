/** The reference page: one file that renders /api_v1.json and needs nothing else. */

/** What runs on it. Text goes into the page as text only. */
export const DOCS_SCRIPT = `
const el = (tag, props, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== undefined && child !== ''));
  return node;
};
const link = (name) => el('a', { href: '#schema-' + name, textContent: name });
const typeOf = (schema) => {
  if (schema === undefined || schema === true) return 'anything';
  if (schema.$ref) return link(schema.$ref.split('/').pop());
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const options = schema.oneOf || schema.anyOf || schema.allOf;
  if (options) {
    const list = el('ul', { className: 'options' });
    for (const option of options) list.append(el('li', {}, typeOf(option)));
    return list;
  }
  if (schema.type === 'array') return el('span', {}, 'list of ', typeOf(schema.items));
  if (schema.properties) return fields(schema);
  if (schema.additionalProperties && typeof schema.additionalProperties === 'object')
    return el('span', {}, 'map to ', typeOf(schema.additionalProperties));
  return [].concat(schema.type || 'anything').join(' | ') + (schema.format ? ' (' + schema.format + ')' : '');
};
const fields = (schema) => {
  const table = el('table');
  for (const [name, part] of Object.entries(schema.properties)) {
    const needed = (schema.required || []).includes(name);
    const fallback = 'default' in part ? ' = ' + JSON.stringify(part.default) : '';
    table.append(el('tr', {}, el('td', {}, el('code', { textContent: name + (needed ? '' : '?') })),
      el('td', {}, typeOf(part), fallback), el('td', { textContent: part.description || '' })));
  }
  return table;
};
const operation = (path, method, op, open) => {
  const box = el('details', { id: op.operationId }, el('summary', {},
    el('b', { className: method, textContent: method.toUpperCase() }), ' ',
    el('code', { textContent: path }), ' ', el('span', { textContent: op.summary || '' })));
  if (op.description) box.append(el('p', { textContent: op.description }));
  if (open) box.append(el('p', { textContent: 'Needs no key.' }));
  if (op.parameters) {
    const table = el('table');
    for (const one of op.parameters) table.append(el('tr', {}, el('td', {}, el('code', { textContent: one.name + (one.required ? '' : '?') })),
      el('td', { textContent: one.in }), el('td', {}, typeOf(one.schema)), el('td', { textContent: one.description || '' })));
    box.append(el('h4', { textContent: 'Parameters' }), table);
  }
  for (const [type, { schema }] of Object.entries((op.requestBody || {}).content || {}))
    box.append(el('h4', { textContent: 'Body, ' + type }), el('div', {}, typeOf(schema)));
  const answers = el('table');
  for (const [status, answer] of Object.entries(op.responses)) {
    const [first] = Object.values(answer.content || {});
    answers.append(el('tr', {}, el('td', {}, el('code', { textContent: status })),
      el('td', { textContent: answer.description }), el('td', {}, first ? typeOf(first.schema) : '')));
  }
  box.append(el('h4', { textContent: 'Answers' }), answers);
  return box;
};
const open = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target) { target.open = true; target.scrollIntoView(); }
};
fetch('/api_v1.json').then((answer) => answer.json()).then((api) => {
  const main = document.querySelector('main');
  main.replaceChildren(el('p', { textContent: api.info.description }));
  for (const { name } of api.tags) {
    main.append(el('h2', { textContent: name }));
    for (const [path, methods] of Object.entries(api.paths)) for (const [method, op] of Object.entries(methods))
      if (op.tags.includes(name)) main.append(operation(path, method, op, op.security && op.security.length === 0));
  }
  main.append(el('h2', { textContent: 'sockets' }));
  for (const [path, socket] of Object.entries(api['x-websockets'])) main.append(el('details', {}, el('summary', {}, el('b', { textContent: 'WS' }), ' ',
    el('code', { textContent: path }), ' ', el('span', { textContent: socket.summary })), el('p', {}, 'Query: ' + socket.query.join(', ')), el('p', {}, 'Messages: ', typeOf(socket.message))));
  main.append(el('h2', { textContent: 'webhooks' }));
  for (const [name, { post }] of Object.entries(api.webhooks)) main.append(operation(name, 'post', post, false));
  main.append(el('h2', { textContent: 'types' }));
  for (const [name, schema] of Object.entries(api.components.schemas))
    main.append(el('details', { id: 'schema-' + name }, el('summary', {}, el('code', { textContent: name }), ' ', el('span', { textContent: schema.description || '' })), el('div', {}, typeOf(schema))));
  addEventListener('hashchange', open);
  open();
}).catch((error) => { document.querySelector('main').textContent = 'The document cannot be read: ' + error.message; });
`;

/** The page itself. */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Coral: the API</title>
<style>
:root { color-scheme: light dark; --line: #8884; --dim: #888; --accent: #c4513a; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
h2 { margin-top: 2.5rem; text-transform: capitalize; }
h4 { margin: 1rem 0 .25rem; }
details { border-top: 1px solid var(--line); padding: .4rem 0; }
details[open] { padding-bottom: 1rem; }
summary { cursor: pointer; }
summary span { color: var(--dim); }
summary b { display: inline-block; min-width: 4.2rem; color: var(--accent); }
table { border-collapse: collapse; }
td { vertical-align: top; padding: .15rem .8rem .15rem 0; }
td td { font-size: .95em; }
ul.options { margin: 0; padding-left: 1.1rem; }
code { font: .92em ui-monospace, monospace; }
a { color: var(--accent); }
</style>
</head>
<body>
<h1>Coral</h1>
<main>Reading <a href="/api_v1.json">/api_v1.json</a> …</main>
<script>${DOCS_SCRIPT}</script>
</body>
</html>
`;
