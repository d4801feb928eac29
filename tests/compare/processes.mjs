// Child processes and how everything ends: what was started is ended in reverse order, also after a failure and on Ctrl-C.

import { spawn } from 'node:child_process';

// How long a process may take to end before it is killed.
const PATIENCE_MS = 10_000;

const endings = [];
let ended;

// Remembers how something that was started is ended.
export function atEnd(end) {
  endings.push(end);
}

// Ends everything. May be called several times, by whoever notices first.
export function endAll() {
  ended ??= (async () => {
    for (const end of endings.reverse()) {
      try {
        await end();
      } catch (error) {
        console.error(`could not end something: ${error.message}`);
      }
    }
  })();
  return ended;
}

// Starts a program that serves until it is ended. `died` of the result is rejected if it ends before it is told to.
export function serve(name, program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let told = false;
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', text => {
      said = `${said}${text}`.slice(-20_000);
    });
  }
  const exited = new Promise(resolve => child.on('close', resolve));
  const died = new Promise((_, reject) => {
    child.on('error', error => reject(new Error(`${name} does not start: ${error.message}`)));
    exited.then(code => !told && !ended && reject(new Error(`${name} ended by itself (${code}):\n${said}`)));
  });
  died.catch(() => {});
  atEnd(async () => {
    told = true;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    child.kill('SIGTERM');
    const killed = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    await exited;
    clearTimeout(killed);
  });
  return { died, said: () => said };
}

// Runs a program to its end, and returns what it printed.
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', text => (said += text));
    child.on('error', error => reject(new Error(`${program}: ${error.message}`)));
    child.on('close', code => (code === 0 ? resolve(said) : reject(new Error(`${program} failed (${code}): ${said}`))));
  });
}
