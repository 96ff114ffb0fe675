/** Signatures on outgoing calls. Source: docs/wire.md, "Signatures". */
import { createHmac } from 'node:crypto';

/** Lower-case hex HMAC-SHA256 of the raw body. */
export function signBody(secret: string, body: string): string {
  return createHmac('sha256', secret).update(body).digest('hex');
}

/** Against replay: lower-case hex HMAC-SHA256 of `ID.TIME.BODY`, TIME in Unix seconds as sent in its header. */
export function signDelivery(secret: string, id: string, time: number, body: string): string {
  return createHmac('sha256', secret).update(`${id}.${time}.${body}`).digest('hex');
}
