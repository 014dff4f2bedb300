/** Keys for the hosts of a lab and whoever logs in there. */
import ssh2 from 'ssh2';

export type KeyPair = { private: string; public: string };

/**
 * A new ed25519 key. ssh2 makes one in 256 wrong: it takes the zeros off the beginning of a public key. Such a one is thrown away.
 */
export function newKeyPair(options: { passphrase?: string } = {}): KeyPair {
  const { passphrase } = options;
  for (;;) {
    const pair =
      passphrase === undefined
        ? ssh2.utils.generateKeyPairSync('ed25519')
        : ssh2.utils.generateKeyPairSync('ed25519', { passphrase, cipher: 'aes256-ctr', rounds: 16 });
    if (!(ssh2.utils.parseKey(pair.public) instanceof Error)) return pair;
  }
}
