/** The process: runs the command line, and ends with its code. */
import { runProgram } from './program.ts';

// A reader that goes away (`upshift runs | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runProgram(process.argv.slice(2));
