// Makes a request that fails smaller while it still fails: leaves out what can be left out, one thing at a time, then puts
// what is inside an operator in its place.

function* smaller(value) {
  if (Array.isArray(value)) {
    for (const at of value.keys()) {
      yield value.toSpliced(at, 1);
    }
    for (const [at, inner] of value.entries()) {
      for (const less of smaller(inner)) yield value.with(at, less);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const operand of [value.$not, ...(value.$all ?? []), ...(value.$any ?? [])]) {
      if (operand !== undefined) yield operand;
    }
    for (const key of Object.keys(value)) {
      const { [key]: inner, ...rest } = value;
      yield rest;
      for (const less of smaller(inner)) yield { ...value, [key]: less };
    }
  }
}

// `fails` says whether a request still fails; a request that means nothing does not.
export async function shrink({ call, request }, fails) {
  let smallest = request;
  for (let shrunk = true; shrunk;) {
    shrunk = false;
    for (const candidate of smaller(smallest)) {
      if (await fails({ call, request: candidate })) {
        smallest = candidate;
        shrunk = true;
        break;
      }
    }
  }
  return { call, request: smallest };
}
