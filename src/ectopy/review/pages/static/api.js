// Requests to the server. An answer that is no success becomes an error with the server's own words.

async function answer(response) {
  if (response.ok) return response;
  let why = `${response.status} ${response.statusText}`;
  try {
    const body = await response.text();
    why = response.headers.get("content-type")?.includes("json") ? JSON.parse(body).error : body.trim() || why;
  } catch { /* the status says it */ }
  throw Object.assign(new Error(why), { status: response.status });
}

async function ask(path, options) {
  try {
    return await answer(await fetch(path, options));
  } catch (error) {
    if (error instanceof TypeError) throw new Error("The server does not answer. Is ectopy review still running?");
    throw error;
  }
}

export const getJSON = async (path) => (await ask(path)).json();
export const getBytes = async (path, options) => (await ask(path, options)).arrayBuffer();
export const post = async (path, body) =>
  (await ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();
