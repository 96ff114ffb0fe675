/**
 * `historian`, a member of the report team: knows what git remembers. It speaks only when it is spoken to, so that it
 * is one handler of mentions: the shortest kind of agent there is. What the handler returns goes to whoever asked.
 */
import { run } from 'coral/agent';
import { factsIn, letter } from '../shared/facts.ts';
import type { History, Survey } from '../shared/facts.ts';
import { shownName } from '../shared/names.ts';
import { count, moment, plural } from '../shared/words.ts';
import { historyOf, lastChanges } from './history.ts';

await run(async (agent) => {
  const leaving = new AbortController();
  let root = '';
  await agent.onMention(
    async (message) => {
      const facts = factsIn(message.text);
      switch (facts?.kind) {
        case 'survey': {
          root = facts.root;
          const history = await historyOf(root);
          await agent.send(message.threadId, letter(sentences(history, facts), history), ['writer']);
          return;
        }
        case 'when': {
          const dates = await lastChanges(root, facts.files);
          return letter(`I have looked up ${plural(dates.length, 'file')} for you.`, {
            kind: 'dates',
            dates,
          });
        }
        case 'done':
          await agent.send(message.threadId, letter('It was a pleasure. Goodbye.', { kind: 'goodbye' }), [
            'writer',
          ]);
          leaving.abort();
          return;
        case 'failed':
          leaving.abort();
          return;
        default:
          return;
      }
    },
    { signal: leaving.signal },
  );
});

function sentences(history: History, survey: Survey): string {
  if (!history.git) {
    const latest = survey.newest[0];
    const instead =
      latest === undefined
        ? ''
        : ` By its own time ${shownName(latest.name)} is the latest, of ${moment(latest.time)}.`;
    return `There is no git history to tell.${instead}`;
  }
  if (history.last === undefined) return 'The repository has no commit yet.';
  const { last, commits = 0, peopleCount = 0, uncommitted = 0, first = last.date } = history;
  const since = history.shallow === true ? 'in this shallow clone' : `since ${moment(first)}`;
  const open =
    uncommitted > 0
      ? ` ${plural(uncommitted, 'file')} ${uncommitted === 1 ? 'differs' : 'differ'} from it.`
      : '';
  return (
    `${count(commits)} ${commits === 1 ? 'commit' : 'commits'} by ${plural(peopleCount, 'person', 'people')} ${since}. ` +
    `The last is of ${moment(last.date)} by ${last.author}: "${last.subject}".${open}`
  );
}
