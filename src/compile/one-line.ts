import { issue, type Issue } from '../lib/issue.ts';

/** Where a pod would refuse the whole entry that holds this text, because it goes into headers, labels and logs; null: it would not. */
export function controlFault(text: string, path: string): Issue | null {
  return /\p{Cc}/u.test(text)
    ? issue(
        path,
        'InvalidSpec',
        `${JSON.stringify(text)} has a line break or another control character in it: write it on one line`,
      )
    : null;
}
