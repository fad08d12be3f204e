/** What an upload or a batch lacks, by which it could be told whose it is. */
import { allowedPart } from '../auth/client-keys.ts';
import type { GatewayError } from './errors.ts';
import type { RequestContext } from './request-context.ts';

/** The model that an upload is for, where it names none: the only one that the key may use and that leads to an upstream which keeps files. */
export function onlyModelWithFiles(run: RequestContext): string | GatewayError {
  const { table, caller } = run;
  const found = table.names
    .list(caller)
    .filter(({ route }) => table.routeOf(route).targets.some((target) => target.exchange('files') !== null))
    .flatMap((name) => allowedPart(caller, name));
  const [only] = found;
  // A name with a `*` is none that a file can be for.
  if (only !== undefined && found.length === 1 && !only.wildcard) return only.value;
  if (only === undefined)
    return { code: 'not_implemented', message: 'No model that this key may use leads to an upstream that keeps files.' };
  return {
    code: 'invalid_body',
    message:
      'Say which model the file is for, in the form as `model` or in the URL as `?model=`: this key may use several that lead to upstreams which keep files, and one of them is to keep it.',
    param: 'model',
  };
}

/** No provider of its targets keeps files. */
export function noFiles(model: string): GatewayError {
  return {
    code: 'not_implemented',
    message: `No upstream that the model ${JSON.stringify(model)} leads to keeps files.`,
    param: 'model',
  };
}

export function otherModel(named: string, asked: string): GatewayError {
  const message = `The upload is for the model ${JSON.stringify(named)}, but the requests in it ask for ${JSON.stringify(asked)}.`;
  return { code: 'invalid_body', message, param: 'model' };
}

export const NO_FORM: GatewayError = {
  code: 'invalid_body',
  message: 'An upload is sent as multipart/form-data, with its `file` and its `purpose`.',
};

export const NO_ANTHROPIC_FILES: GatewayError = {
  code: 'not_implemented',
  message: "This gateway does not serve Anthropic's files; send the content in the messages.",
};

export const NO_INPUT_FILE: GatewayError = {
  code: 'invalid_body',
  message: "Missing required parameter: 'input_file_id', a string.",
  param: 'input_file_id',
};
