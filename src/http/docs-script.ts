/** What runs on the reference page. Whatever it shows goes into the page as text, never as markup. */
export const DOCS_SCRIPT = `
const el = (tag, props, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.flat().filter((child) => child !== undefined && child !== ''));
  return node;
};
const code = (text) => el('code', { textContent: text });
/** Words between two backticks are code. */
const prose = (text) => (text || '').split('\\x60').map((part, at) => (at % 2 ? code(part) : part));
const link = (name) => el('a', { href: '#type-' + name }, code(name));
const table = (heads, rows) => el('div', { className: 'scroll' }, el('table', {},
  heads ? el('thead', {}, el('tr', {}, heads.map((head) => el('th', { scope: 'col', textContent: head })))) : undefined,
  el('tbody', {}, rows.map((cells) => el('tr', {}, cells.map((cell) => el('td', {}, cell)))))));

const typeOf = (schema) => {
  if (schema === undefined || schema === true) return 'anything';
  if (schema.$ref) return link(schema.$ref.split('/').pop());
  if ('const' in schema) return code(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.flatMap((value, at) => (at ? [' or ', code(JSON.stringify(value))] : [code(JSON.stringify(value))]));
  const options = schema.oneOf || schema.anyOf || schema.allOf;
  if (options) {
    const some = options.filter((option) => option.type !== 'null');
    if (some.length === 1) return [typeOf(some[0]), ' or null'].flat();
    return el('ul', { className: 'shapes' }, some.map((option) => el('li', {}, typeOf(option))));
  }
  if (schema.type === 'array') return ['list of ', typeOf(schema.items)].flat();
  if (schema.properties) return fields(schema);
  if (schema.additionalProperties && typeof schema.additionalProperties === 'object')
    return ['map of ', typeOf(schema.additionalProperties)].flat();
  return [].concat(schema.type || 'anything').join(' or ') + (schema.format ? ' (' + schema.format + ')' : '');
};
const fields = (schema) => table(undefined, Object.entries(schema.properties).map(([name, part]) => [
  code(name + ((schema.required || []).includes(name) ? '' : '?')),
  [typeOf(part), 'default' in part ? [' = ', code(JSON.stringify(part.default))] : ''].flat(2),
  prose(part.description),
]));

const items = [];
/** A thing of the reference: folded up, with a place of its own in the contents. */
const item = (id, kind, name, summary, body) => {
  const box = el('details', { id, className: 'item' },
    el('summary', {}, kind === 'TYPE' ? '' : el('span', { className: 'method ' + kind, textContent: kind }), ' ', code(name), ' ',
      el('span', { className: 'what' }, prose(summary))),
    el('div', {}, body));
  const entry = el('li', {}, kind === 'TYPE' ? el('a', { href: '#' + id }, name)
    : el('a', { href: '#' + id, title: name }, el('b', { className: kind, textContent: kind }), summary || name));
  items.push({ box, entry, text: (kind + ' ' + box.textContent).toLowerCase() });
  return { box, entry };
};

const curl = (path, method, op, isOpen) => {
  const parts = ['curl' + (method === 'get' ? '' : ' -X ' + method.toUpperCase())];
  if (!isOpen) parts.push('-H "Authorization: Bearer $CORAL_KEY"');
  const [type] = Object.keys((op.requestBody || {}).content || {});
  if (type) parts.push(type.includes('json') ? "-H 'Content-Type: application/json' -d '{…}'" : "-d 'token=…'");
  return el('pre', {}, [...parts, "'" + location.origin + path + "'"].join(' \\\\\\n  '));
};
const parameters = (list) => [el('h4', { textContent: 'Parameters' }), table(['Name', 'In', 'Type', ''], list.map((one) =>
  [code(one.name + (one.required ? '' : '?')), one.in, typeOf(one.schema), prose(one.description)]))];
const operation = (path, method, op, isOpen, isCall) => {
  const body = [];
  if (op.description) body.push(el('p', {}, prose(op.description)));
  body.push(el('p', { className: 'dim', textContent: isOpen ? 'Needs no key.' : 'Needs a key.' }));
  if (op.parameters) body.push(...parameters(op.parameters));
  for (const [type, { schema }] of Object.entries((op.requestBody || {}).content || {}))
    body.push(el('h4', { textContent: 'Body' }), el('p', { className: 'dim', textContent: type }), el('div', {}, typeOf(schema)));
  const answers = Object.entries(op.responses);
  const rows = (list) => list.map(([status, answer]) => {
    const [first] = Object.values(answer.content || {});
    return [code(status), prose(answer.description), !first || status >= 400 ? '' : first['x-event-data'] ? typeOf(first['x-event-data']) : typeOf(first.schema)];
  });
  body.push(el('h4', { textContent: 'Answers' }), table(undefined, rows(answers.filter(([status]) => !(parseInt(status) >= 400)))));
  const errors = answers.filter(([status]) => status >= 400);
  if (errors.length) body.push(el('h4', {}, 'Errors: ', link('Error')), table(undefined, rows(errors).map((row) => row.slice(0, 2))));
  if (isCall) body.push(el('h4', { textContent: 'With curl' }), curl(path, method, op, isOpen));
  return item(op.operationId, method.toUpperCase(), path, op.summary, body);
};

const show = (api) => {
  const main = document.querySelector('main');
  const nav = document.querySelector('nav');
  document.getElementById('version').textContent = api.info.version;
  main.replaceChildren(el('p', {}, prose(api.info.description)), el('p', {}, 'For generators of clients: ', el('a', { href: '/api_v1.json' }, '/api_v1.json'), ', OpenAPI ' + api.openapi + '.'));
  const sections = [];
  const section = (name, made) => {
    const id = 'part-' + name;
    const content = el('section', {}, el('h2', { id, textContent: name }), made.map(({ box }) => box));
    const contents = el('div', {}, el('h2', { textContent: name }), el('ul', {}, made.map(({ entry }) => entry)));
    main.append(content);
    nav.append(contents);
    sections.push({ content, contents, made });
  };
  for (const { name } of api.tags) section(name, Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods)
    .filter(([, op]) => op.tags.includes(name))
    .map(([method, op]) => operation(path, method, op, op.security !== undefined && op.security.length === 0, true))));
  section('sockets', Object.entries(api['x-websockets']).map(([path, socket], at) => item('socket-' + at, 'WS', path, socket.summary,
    [el('h4', { textContent: 'With a cookie' }), el('p', {}, code(socket.withCookie)), ...parameters(socket.parameters), el('h4', { textContent: 'Messages' }), el('p', {}, typeOf(socket.message))])));
  section('webhooks', Object.entries(api.webhooks).map(([name, { post }]) => operation(name, 'post', post, true, false)));
  section('types', Object.entries(api.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, schema]) =>
    item('type-' + name, 'TYPE', name, schema.description, [el('div', {}, typeOf(schema))])));

  const search = document.getElementById('search');
  const found = document.getElementById('found');
  const look = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let count = 0;
    for (const { box, entry, text } of items) {
      const fits = words.every((word) => text.includes(word));
      box.hidden = entry.hidden = !fits;
      count += fits ? 1 : 0;
    }
    for (const { content, contents, made } of sections) content.hidden = contents.hidden = made.every(({ box }) => box.hidden);
    found.textContent = words.length ? (count === 1 ? '1 entry' : count + ' entries') : '';
  };
  search.addEventListener('input', look);
  addEventListener('keydown', (event) => {
    if (event.key === '/' && document.activeElement !== search && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === 'Escape' && document.activeElement === search) {
      search.value = '';
      look();
    } else if (event.key === 'Enter' && document.activeElement === search) {
      const first = items.find(({ box }) => !box.hidden);
      if (first) location.hash = first.box.id;
    }
  });
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (const here of nav.querySelectorAll('[aria-current]')) here.removeAttribute('aria-current');
    if (!target || !target.classList.contains('item')) return;
    if (target.hidden) { search.value = ''; look(); }
    target.open = true;
    target.scrollIntoView();
    target.querySelector('summary').focus({ preventScroll: true });
    const entry = [...nav.querySelectorAll('a')].find(({ hash }) => hash === '#' + target.id);
    if (entry) { entry.setAttribute('aria-current', 'true'); entry.scrollIntoView({ block: 'nearest' }); }
  };
  if (matchMedia('(max-width: 56rem)').matches) document.getElementById('contents').open = false;
  addEventListener('hashchange', open);
  open();
};
fetch('/api_v1.json').then((answer) => answer.json()).then(show).catch((error) => {
  document.querySelector('main').textContent = 'The description of the API cannot be read: ' + error.message;
});
`;
