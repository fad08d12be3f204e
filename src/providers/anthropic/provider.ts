import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import { requestHeaders } from '../openai/exchange.ts';
import type { Exchange, Provider } from '../provider.ts';
import { translated } from '../shared/translate.ts';
import { anthropicDialect } from './dialect.ts';
import { anthropicExchange } from './exchange.ts';
import { ANTHROPIC_HEADROOM } from './headroom.ts';

/** https://docs.claude.com/en/api/versioning */
const ANTHROPIC_VERSION = '2023-06-01';

/** `baseUrl` ends in the API's version (`https://api.anthropic.com/v1`). */
export const anthropic: Provider = {
  kind: 'Anthropic',
  headroom: ANTHROPIC_HEADROOM,
  exchange(target, operation) {
    switch (operation) {
      case 'messages':
        return passed(target, '/messages');
      case 'count_tokens':
        return passed(target, '/messages/count_tokens');
      default:
        return overMessages(target, operation);
    }
  },
};

/** A client's version goes with its bytes, unless the target has one of its own. */
function passed(target: Target, path: string): Exchange {
  const headers = requestHeaders(target, target.credential?.value.reveal() ?? '');
  return { ...anthropicExchange(target, path, headers), headersUnsaid: ['anthropic-version', ANTHROPIC_VERSION] };
}

function overMessages(target: Target, operation: Operation): Exchange | null {
  const upstream = anthropicDialect(target);
  return translated({ target, operation, upstream, path: () => '/messages', headers: headersOf(target) });
}

function headersOf(target: Target): readonly string[] {
  const secret = target.credential?.value.reveal() ?? '';
  const headers = requestHeaders(target, secret);
  const versioned = target.headers.some(([name]) => name === 'anthropic-version');
  return versioned ? headers : [...headers, 'anthropic-version', ANTHROPIC_VERSION];
}
