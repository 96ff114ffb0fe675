import { describe, expect, it } from 'vitest';
import { AddressPolicy } from '../../src/outbound/address-policy.ts';

describe('the addresses a server may call', () => {
  const strict = new AddressPolicy({ allowLoopback: false, allow: [] });
  it.each(['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946'])('public %s', (address) => {
    expect(strict.permits('example.com', address)).toBe(true);
  });
  it.each([
    '127.0.0.1', '127.9.9.9', '::1', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254',
    '100.64.0.1', '224.0.0.1', '255.255.255.255', 'fe80::1', 'fe80::1%eth0', 'fd00::1', 'ff02::1', '::', '::ffff:127.0.0.1', '::ffff:a9fe:a9fe',
    '64:ff9b::7f00:1', '2002:7f00:1::', 'nonsense',
  ])('not %s', (address) => {
    expect(strict.permits('example.com', address)).toBe(false);
  }); // prettier-ignore

  it('include loopback for a server on loopback', () => {
    const local = new AddressPolicy({ allowLoopback: true, allow: [] });
    expect(local.permits('localhost', '127.0.0.1')).toBe(true);
    expect(local.permits('localhost', '::ffff:127.0.0.1')).toBe(true);
    expect(local.permits('x', '10.0.0.1')).toBe(false);
  });

  it("include the operator's exceptions", () => {
    const policy = new AddressPolicy({
      allowLoopback: false,
      allow: ['10.1.0.0/16', '192.168.7.7', 'hooks.internal', '*.corp.example', 'fd00:1::/32'],
    });
    expect(policy.permits('x', '10.1.2.3')).toBe(true);
    expect(policy.permits('x', '10.2.2.3')).toBe(false);
    expect(policy.permits('x', '192.168.7.7')).toBe(true);
    expect(policy.permits('x', 'fd00:1::5')).toBe(true);
    expect(policy.permits('Hooks.Internal', '10.9.9.9')).toBe(true);
    expect(policy.permits('a.corp.example', '10.9.9.9')).toBe(true);
    expect(policy.permits('corp.example.evil', '10.9.9.9')).toBe(false);
  });
});
