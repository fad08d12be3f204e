/** `fairlead init`: a starter file that runs on a laptop and in a cluster. */
import { writeFile } from 'node:fs/promises';
import { codeOf, CommandFailed, ExitCode, type Io, messageOf } from './io.ts';
import { STARTER } from './starter.ts';
import { styleFor } from './style.ts';

export interface InitOptions {
  /** `-`: stdout. */
  readonly file: string;
  readonly force: boolean;
}

export async function init(io: Io, { file, force }: InitOptions): Promise<ExitCode> {
  if (file === '-') {
    io.stdout.write(STARTER);
    return ExitCode.Ok;
  }
  try {
    // `wx` refuses in the same step that creates: nothing is overwritten that appeared in between.
    await writeFile(file, STARTER, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    const exists = codeOf(error) === 'EEXIST';
    const why = exists
      ? `${file} is already there; --force overwrites it, another name writes beside it`
      : `cannot write ${file}: ${messageOf(error)}`;
    throw new CommandFailed(why, { cause: error });
  }
  const style = styleFor(io.stderr, io.env);
  io.stderr.write(`Wrote ${style.bold(file)}. What to do with it:

  export OPENAI_API_KEY=…
  fairlead run -f ${file} --watch --secret openai/api-key=OPENAI_API_KEY     ${style.dim('on this machine')}
  kubectl apply -f ${file}                                                   ${style.dim('in a cluster')}
`);
  return ExitCode.Ok;
}
