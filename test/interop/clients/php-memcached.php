<?php
/** memcached (Debian php-memcached, on libmemcached): one line for each thing that it does, the same for every right server. */
[, $host, $port] = $argv;
const DAY = 86400;

function client(array $options = []): Memcached
{
    global $host, $port;
    $client = new Memcached();
    $client->setOptions([Memcached::OPT_BINARY_PROTOCOL => false, Memcached::OPT_COMPRESSION => false] + $options);
    $client->addServer($host, (int) $port);
    return $client;
}

function show(string $name, mixed ...$values): void
{
    $text = fn($value) => str_replace(["\n", '  '], ['', ''], var_export($value, true));
    echo "$name: ", implode(' ', array_map($text, $values)), "\n";
}

$client = client();
show('flush', $client->flush());
show('get of nothing', $client->get('k'), $client->getResultMessage());
show('set', $client->set('k', 'v'), $client->get('k'));
show('empty value', $client->set('empty', ''), $client->get('empty'));
show('add over', $client->add('k', 'no'), $client->getResultMessage());
show('add', $client->add('added', 'yes'));
show('replace', $client->replace('k', 'w'));
show('replace of nothing', $client->replace('nothing', 'no'), $client->getResultMessage());
show('append', $client->append('k', '-tail'));
show('prepend', $client->prepend('k', 'head-'));
show('append to nothing', $client->append('nothing', 'no'), $client->getResultMessage());
show('after all of them', $client->getMulti(['k', 'added', 'nothing'], Memcached::GET_PRESERVE_ORDER));

$got = $client->get('k', null, Memcached::GET_EXTENDED);
show('gets', $got['value'], $got['flags'], $got['cas'] > 0);
show('cas', $client->cas($got['cas'], 'k', 'swapped'));
show('cas once more', $client->cas($got['cas'], 'k', 'no'), $client->getResultMessage());
show('cas of nothing', $client->cas($got['cas'], 'nothing', 'no'), $client->getResultMessage());
show('gets_multi', array_map(fn($one) => $one['value'], $client->getMulti(['k', 'added'], Memcached::GET_EXTENDED)));
show('read-through', $client->get('through', function ($client, $key, &$value) {
    $value = "made for $key";
    return true;
}), $client->get('through'));

show('increment of nothing', $client->increment('n'), $client->getResultMessage());
show('set n', $client->set('n', 10));
show('increment', $client->increment('n', 5));
show('decrement', $client->decrement('n', 8));
show('decrement below 0', $client->decrement('n', 100));
show('increment of text', $client->increment('k'), $client->getResultMessage());

show('touch', $client->touch('k', DAY));
show('touch of nothing', $client->touch('nothing', DAY), $client->getResultMessage());
show('touch into the past', $client->touch('added', 31 * DAY), $client->get('added'));
show('expiry 0', $client->set('stays', 'x', 0), $client->get('stays'));
show('expiry of a day', $client->set('day', 'x', DAY), $client->get('day'));
show('expiry in 2037', $client->set('far', 'x', 2114380800), $client->get('far'));
show('expiry in 1970', $client->set('past', 'x', 31 * DAY), $client->get('past'));
show('delete', $client->delete('day'), $client->get('day'));
show('delete of nothing', $client->delete('day'), $client->getResultMessage());

$bytes = implode('', array_map('chr', range(0, 255))) . "\r\nEND\r\nVALUE k 0 1\r\n";
show('binary bytes', $client->set('bytes', $bytes), $client->get('bytes') === $bytes);
$big = str_repeat($bytes, 1850);
show('500 KB', strlen($big), $client->set('big', $big), $client->get('big') === $big);
show('2 MB', $client->set('huge', str_repeat('x', 2 ** 21)), $client->getResultMessage(), $client->get('huge'));
show('longest key', $client->set(str_repeat('l', 250), 'x'), $client->get(str_repeat('l', 250)));
show('key too long', $client->get(str_repeat('l', 251)), $client->getResultMessage());

$objects = ['array' => ['a' => [1, null, 2.5]], 'int' => 42, 'float' => 1.5, 'bool' => true, 'no' => false, 'text' => 'ü'];
show('setMulti of values', $client->setMulti($objects), $client->getMulti(array_keys($objects)) === $objects);
show('an object', $client->set('object', new ArrayObject([1, 2])), $client->get('object') == new ArrayObject([1, 2]));
foreach (['json' => Memcached::SERIALIZER_JSON_ARRAY, 'igbinary' => Memcached::SERIALIZER_IGBINARY] as $name => $serializer) {
    $other = client([Memcached::OPT_SERIALIZER => $serializer]);
    show($name, $other->set('serial', $objects['array']), $other->get('serial') === $objects['array']);
}
foreach (['zlib' => Memcached::COMPRESSION_ZLIB, 'fastlz' => Memcached::COMPRESSION_FASTLZ] as $name => $type) {
    $zip = client([Memcached::OPT_COMPRESSION => true, Memcached::OPT_COMPRESSION_TYPE => $type]);
    show($name, $zip->set('zip', str_repeat('a', 100000)), $zip->get('zip') === str_repeat('a', 100000));
}
$flagged = client([Memcached::OPT_USER_FLAGS => 4711]);
$flagged->set('flags', 'x');
show('user flags', $flagged->get('flags', null, Memcached::GET_EXTENDED)['flags']);
$named = client([Memcached::OPT_PREFIX_KEY => 'app:']);
show('prefix', $named->set('k', 'x'), $named->getMulti(['k']), $client->get('app:k'));

$many = [];
for ($i = 0; $i < 200; $i++) $many["many-$i"] = str_repeat("value $i", $i % 7);
show('setMulti', $client->setMulti($many));
show('getMulti', $client->getMulti(array_keys($many), Memcached::GET_PRESERVE_ORDER) === $many);
show('getDelayed', $client->getDelayed(['k', 'nothing', 'n'], true));
$fetched = array_column($client->fetchAll(), 'value', 'key');
ksort($fetched);
show('fetchAll', $fetched);
show('deleteMulti', array_count_values(array_map('intval', $client->deleteMulti([...array_keys($many), 'nothing']))));
show('after it', $client->getMulti(array_keys($many)));
show('by server key', $client->setByKey('server', 'by-key', 'x'), $client->getByKey('server', 'by-key'), $client->deleteByKey('server', 'by-key'));

// A read waits for its answer, and by then everything that was sent before it has been carried out.
$quiet = client([Memcached::OPT_NOREPLY => true]);
$quiet->set('quiet', '1');
show('set without reply', $quiet->get('quiet'));
$quiet->append('quiet', '0');
show('append without reply', $quiet->get('quiet'));
$quiet->setMulti($many);
show('setMulti without reply', $quiet->getMulti(array_keys($many), Memcached::GET_PRESERVE_ORDER) === $many);
$quiet->delete('quiet');
show('delete without reply', $quiet->get('quiet'));
$buffered = client([Memcached::OPT_BUFFER_WRITES => true]);
for ($i = 0; $i < 100; $i++) $buffered->set("buffered-$i", (string) $i);
show('buffered writes', $buffered->get('buffered-99'), $buffered->flushBuffers(), $client->get('buffered-0'));
$nodelay = client([Memcached::OPT_NO_BLOCK => true, Memcached::OPT_TCP_NODELAY => true]);
show('no block', $nodelay->set('no-block', $big), $nodelay->get('no-block') === $big);

show('version', preg_match('/^\d+\.\d+\.\d+/', implode($client->getVersion())));
$stats = array_values($client->getStats())[0];
show('stats', array_map(fn($name) => isset($stats[$name]), ['pid', 'curr_items', 'cmd_get', 'limit_maxbytes', 'threads']));
show('flush', $client->flush(), $client->get('big'), $client->get('stays'));
show('set after it', $client->set('k', 'new'), $client->get('k'));
show('quit', $client->quit(), $client->get('k'));
