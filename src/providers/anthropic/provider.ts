import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import { requestHeaders } from '../openai/exchange.ts';
import type { Exchange, Provider } from '../provider.ts';
import { translated } from '../shared/translate.ts';
import { anthropicDialect } from './dialect.ts';
import { anthropicExchange } from './exchange.ts';

/** https://docs.claude.com/en/api/versioning */
export const ANTHROPIC_VERSION = '2023-06-01';

/** `baseUrl` ends in the API's version (`https://api.anthropic.com/v1`). */
export const anthropic: Provider = {
  kind: 'Anthropic',
  exchange(target, operation) {
    switch (operation) {
      case 'messages':
        return anthropicExchange(target, '/messages', headersOf(target));
      case 'count_tokens':
        return anthropicExchange(target, '/messages/count_tokens', headersOf(target));
      default:
        return overMessages(target, operation);
    }
  },
};

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
