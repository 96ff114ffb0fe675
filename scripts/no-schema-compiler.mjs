// In the place of the packages with which fastify checks and writes what zod and JSON do here.
export default function none() {
  throw new Error('This server is built without a compiler of JSON schemas.');
}
