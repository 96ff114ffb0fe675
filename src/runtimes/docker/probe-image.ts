/**
 * An image of one file that dials an address and exits with the answer: what the way back from a container is tried
 * with where no image is at hand and none should be pulled. The program is Linux on x86-64, written below.
 */

/** What `Architecture` of an engine's `/info` must be. */
export const PROBE_ARCHITECTURES: readonly string[] = ['x86_64', 'amd64'];
/** Where the program stands in the image. */
export const PROBE_PATH = '/probe';

const LOADED_AT = 0x400000;
const HEADERS = 64 + 56;

/**
 * A program that opens a TCP connection and exits with 0, or with the error number of Linux (111 refused, 113 no
 * route). It waits for an answer as long as the kernel does: end it after a while.
 */
export function probeProgram(address: string, port: number): Buffer {
  const code = Buffer.from([
    ...[0x6a, 41, 0x58], // rax = socket
    ...[0x6a, 2, 0x5f], // rdi = AF_INET
    ...[0x6a, 1, 0x5e], // rsi = SOCK_STREAM
    ...[0x99, 0x0f, 0x05], // rdx = 0; call
    0x97, // rdi = the socket
    ...[0x48, 0x8d, 0x35, 16, 0, 0, 0], // rsi = the address behind the code
    ...[0x6a, 16, 0x5a], // rdx = its length
    ...[0x6a, 42, 0x58], // rax = connect
    ...[0x0f, 0x05],
    ...[0x97, 0xf7, 0xdf], // rdi = -answer
    ...[0x6a, 60, 0x58], // rax = exit
    ...[0x0f, 0x05],
    ...[2, 0, port >> 8, port & 0xff, ...address.split('.').map(Number), 0, 0, 0, 0, 0, 0, 0, 0],
  ]);
  const head = Buffer.alloc(HEADERS);
  head.write('\x7fELF\x02\x01\x01', 'latin1'); // 64 bits, little-endian, version 1
  head.writeUInt16LE(2, 16); // an executable
  head.writeUInt16LE(62, 18); // for x86-64
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(BigInt(LOADED_AT + HEADERS), 24); // where it begins
  head.writeBigUInt64LE(64n, 32); // the program header follows
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(1, 56);
  head.writeUInt32LE(1, 64); // to be loaded
  head.writeUInt32LE(5, 68); // readable and executable
  head.writeBigUInt64LE(BigInt(LOADED_AT), 80);
  head.writeBigUInt64LE(BigInt(LOADED_AT), 88);
  head.writeBigUInt64LE(BigInt(HEADERS + code.length), 96);
  head.writeBigUInt64LE(BigInt(HEADERS + code.length), 104);
  head.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([head, code]);
}

/** The image's only layer as a tar archive, to be imported. */
export function probeArchive(address: string, port: number): Buffer {
  const program = probeProgram(address, port);
  const head = Buffer.alloc(512);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width, '0')}\0`;
  head.write(PROBE_PATH.slice(1), 0);
  head.write(octal(0o755, 7), 100);
  head.write(octal(0, 7), 108);
  head.write(octal(0, 7), 116);
  head.write(octal(program.length, 11), 124);
  head.write(octal(0, 11), 136);
  head.write('        ', 148);
  head.write('0', 156);
  head.write('ustar\u000000', 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([head, program, Buffer.alloc(512 - (program.length % 512)), Buffer.alloc(1024)]);
}
