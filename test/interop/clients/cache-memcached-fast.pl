# Cache::Memcached::Fast (Debian libcache-memcached-fast-perl): one line for each thing that it does, the same for every right server.
use strict;
use warnings;
use Cache::Memcached::Fast;

my ($host, $port) = @ARGV;
my %options = (servers => ["$host:$port"], connect_timeout => 20, io_timeout => 20, max_size => 4 * 1024 * 1024);
my $client = Cache::Memcached::Fast->new({ %options, compress_threshold => -1 });
my $DAY = 86400;
$| = 1;

sub text {
    my ($value) = @_;
    return 'undef' unless defined $value;
    return '[' . join(', ', map { text($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(', ', map { "$_ => " . text($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    return "'$value'";
}
sub show { my ($name, @values) = @_; print "$name: ", join(' ', map { text($_) } @values), "\n" }
sub same { return $_[0] eq $_[1] ? 'same' : 'different' }

show('flush_all', values %{ $client->flush_all });
show('get of nothing', scalar $client->get('k'));
show('set', scalar $client->set('k', 'v'), scalar $client->get('k'));
show('empty value', scalar $client->set('empty', ''), scalar $client->get('empty'));
show('add over', scalar $client->add('k', 'no'));
show('add', scalar $client->add('added', 'yes'));
show('replace', scalar $client->replace('k', 'w'));
show('replace of nothing', scalar $client->replace('nothing', 'no'));
show('append', scalar $client->append('k', '-tail'));
show('prepend', scalar $client->prepend('k', 'head-'));
show('append to nothing', scalar $client->append('nothing', 'no'));
show('prepend to nothing', scalar $client->prepend('nothing', 'no'));
show('after all of them', scalar $client->get_multi('k', 'added', 'nothing'));

my $got = $client->gets('k');
show('gets', $got->[1]);
show('cas', scalar $client->cas('k', $got->[0], 'swapped'));
show('cas once more', scalar $client->cas('k', $got->[0], 'no'));
show('cas of nothing', scalar $client->cas('nothing', $got->[0], 'no'));
my $gets = $client->gets_multi('k', 'added', 'nothing');
show('gets_multi', { map { $_ => $gets->{$_}[1] } keys %$gets });
$client->set('c1', 'a');
$client->set('c2', 'b');
$gets = $client->gets_multi('c1', 'c2');
$client->set('c2', 'changed');
show('cas_multi', $client->cas_multi(map { [$_, $gets->{$_}[0], "$_ swapped"] } 'c1', 'c2'));
show('after it', scalar $client->get_multi('c1', 'c2'));

show('incr of nothing', scalar $client->incr('n', 1));
show('set n', scalar $client->set('n', 10));
show('incr', scalar $client->incr('n', 5));
show('decr', scalar $client->decr('n', 8));
show('decr below 0', scalar $client->decr('n', 100));
show('value 0', scalar $client->get('n'));
show('incr_multi', $client->incr_multi(['n', 2], 'n', ['nothing', 3]));
show('decr_multi', $client->decr_multi(['n', 1], 'nothing'));

show('touch', scalar $client->touch('k', $DAY));
show('touch of nothing', scalar $client->touch('nothing', $DAY));
show('touch_multi', $client->touch_multi(['k', $DAY], ['nothing', $DAY]));
show('touch into the past', scalar $client->touch('added', -1), scalar $client->get('added'));
show('expiry 0', scalar $client->set('stays', 'x', 0), scalar $client->get('stays'));
show('expiry of a day', scalar $client->set('day', 'x', $DAY), scalar $client->get('day'));
show('expiry in 1970', scalar $client->set('past', 'x', 31 * $DAY), scalar $client->get('past'));
show('gat', scalar $client->gat($DAY, 'k'), scalar $client->gat($DAY, 'nothing'));
show('gat_multi', scalar $client->gat_multi($DAY, 'k', 'stays', 'nothing'));
my $gats = $client->gats($DAY, 'k');
show('gats', $gats->[1], scalar $client->cas('k', $gats->[0], 'by gats'));
$gats = $client->gats_multi(-1, 'k', 'stays');
show('gats_multi', { map { $_ => $gats->{$_}[1] } keys %$gats });
show('after it', scalar $client->get_multi('k', 'stays'));

show('delete', scalar $client->delete('day'), scalar $client->get('day'));
show('delete of nothing', scalar $client->delete('day'));

my $bytes = join('', map { chr } 0 .. 255) . "\r\nEND\r\nVALUE k 0 1\r\n";
show('binary bytes', scalar $client->set('bytes', $bytes), same($client->get('bytes'), $bytes));
my $big = $bytes x 1850;
show('500 KB', length $big, scalar $client->set('big', $big), same($client->get('big'), $big));
show('2 MB', scalar $client->set('huge', 'x' x 2097152), scalar $client->get('huge'));
show('longest key', scalar $client->set('l' x 250, 'x'), scalar $client->get('l' x 250));

my %objects = (hash => { a => [1, undef, 'x'] }, array => [1 .. 5], text => 'plain');
show('set_multi of objects', scalar $client->set_multi(map { [$_, $objects{$_}] } sort keys %objects));
show('get_multi of objects', scalar $client->get_multi(sort keys %objects));
my $zipping = Cache::Memcached::Fast->new({ %options, compress_threshold => 1000 });
show('compressed', scalar $zipping->set('zip', 'a' x 100000), same($zipping->get('zip'), 'a' x 100000));
my $utf8 = Cache::Memcached::Fast->new({ %options, utf8 => 1 });
show('utf8', scalar $utf8->set('utf8', "\x{263a}\x{fc}"), same($utf8->get('utf8'), "\x{263a}\x{fc}"));
my $named = Cache::Memcached::Fast->new({ %options, namespace => 'app:' });
show('namespace', scalar $named->set('k', 'x'), scalar $named->get('k'), scalar $client->get('app:k'));

my %many = map { ("many-$_" => "value $_" x ($_ % 7)) } 0 .. 199;
my $stored = $client->set_multi(map { [$_, $many{$_}] } keys %many);
show('set_multi', scalar(grep { $_ } values %$stored));
my $found = $client->get_multi(keys %many, 'nothing');
show('get_multi', scalar(keys %$found), scalar(grep { $found->{$_} ne $many{$_} } keys %many));
show('append_multi', $client->append_multi(['c1', '+'], ['nothing', '+']));
show('prepend_multi', $client->prepend_multi(['c1', '+'], ['nothing', '+']));
show('add_multi', $client->add_multi(['c1', 'no'], ['c3', 'new']));
show('replace_multi', $client->replace_multi(['c3', 'newer'], ['nothing', 'no']));
show('after them', scalar $client->get_multi('c1', 'c3'));
my $deleted = $client->delete_multi(keys %many);
show('delete_multi', scalar(grep { $_ } values %$deleted), scalar $client->get_multi(keys %many));

# Void context asks for no reply.
$client->set('quiet', 1);
$client->add('quiet', 2);
show('set and add without reply', scalar $client->get('quiet'));
$client->append('quiet', 0);
$client->incr('quiet', 5);
$client->decr('quiet', 2);
show('append, incr and decr without reply', scalar $client->get('quiet'));
$client->set_multi(map { [$_, $many{$_}] } keys %many);
show('set_multi without reply', scalar(keys %{ $client->get_multi(keys %many) }));
$client->touch('quiet', -1);
show('touch without reply', scalar $client->get('quiet'));
$client->delete('c1');
show('delete without reply', scalar $client->get('c1'));
my $nowait = Cache::Memcached::Fast->new({ %options, nowait => 1 });
$nowait->set("nowait-$_", $_) for 1 .. 100;
$nowait->nowait_push;
show('nowait', scalar(keys %{ $client->get_multi(map { "nowait-$_" } 1 .. 100) }));

my ($version) = values %{ $client->server_versions };
show('version', $version =~ /^(\d+)\.\d+\.\d+/);
show('flush_all', values %{ $client->flush_all }, scalar $client->get('big'));
show('set after it', scalar $client->set('k', 'new'), scalar $client->get('k'));
$client->disconnect_all;
show('connects again', scalar $client->get('k'));
