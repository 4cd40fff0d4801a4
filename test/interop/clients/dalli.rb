# Dalli: one line for each thing that it does, the same for every right server. It speaks meta commands since 3.2, and never the
# classic ones: with an older Dalli, or a server that has no `mg`, the one line begins with "skip".
require 'socket'
require 'dalli'

HOST, PORT = ARGV
DAY = 86_400
$stdout.sync = true

def skip(reason)
  puts "skip: #{reason}"
  exit
end

if Gem::Version.new(Dalli::VERSION) < Gem::Version.new('3.2')
  skip "Dalli #{Dalli::VERSION} has only the binary protocol; 3.2 and later speak meta commands"
end
TCPSocket.open(HOST, PORT) do |socket|
  socket.write("mg probe v\r\nmn\r\n")
  answers = [socket.gets, socket.gets]
  skip "the server answers mg and mn with #{answers.inspect}" unless answers == ["EN\r\n", "MN\r\n"]
end

Dalli.logger.level = Logger::FATAL
def client(**options)
  Dalli::Client.new("#{HOST}:#{PORT}", { protocol: :meta, socket_timeout: 20, value_max_bytes: 2**22 }.merge(options))
end

# Versions of Dalli answer with a cas or with true.
def show(name, *values)
  puts "#{name}: #{values.map { |value| value.is_a?(Integer) && value > 2**32 ? 'big' : value.inspect }.join(' ')}"
end

def fails
  yield
rescue Dalli::DalliError
  'refused'
end

dalli = client
show('flush', dalli.flush)
show('get of nothing', dalli.get('k'))
show('set', !!dalli.set('k', 'v'), dalli.get('k'))
show('empty value', !!dalli.set('empty', ''), dalli.get('empty'))
show('add over', dalli.add('k', 'no'))
show('add', !!dalli.add('added', 'yes'))
show('replace', !!dalli.replace('k', 'w'))
show('replace of nothing', dalli.replace('nothing', 'no'))
raw = { raw: true }
show('raw set', !!dalli.set('raw', 'w', 0, raw), dalli.get('raw', raw))
show('append', !!dalli.append('raw', '-tail'))
show('prepend', !!dalli.prepend('raw', 'head-'))
show('append to nothing', dalli.append('nothing', 'no'))
show('after all of them', dalli.get_multi('k', 'raw', 'added', 'nothing'))

value, cas = dalli.get_cas('k')
show('get_cas', value, cas.positive?)
show('set_cas', !!dalli.set_cas('k', 'swapped', cas))
show('set_cas once more', dalli.set_cas('k', 'no', cas))
show('replace_cas too late', dalli.replace_cas('k', 'no', cas))
show('delete_cas too late', dalli.delete_cas('k', cas))
show('cas', !!dalli.cas('k') { |old| "#{old} again" }, dalli.get('k'))
show('cas of nothing', dalli.cas('nothing') { 'no' })
show('cas!', !!dalli.cas!('made') { |old| "from #{old.inspect}" }, dalli.get('made'))
show('get_multi_cas', dalli.get_multi_cas('k', 'nothing').transform_values(&:first))
show('fetch', dalli.fetch('fetched', DAY) { 'made' }, dalli.fetch('fetched', DAY) { 'no' })

show('incr of nothing', dalli.incr('n'))
show('incr with a default', dalli.incr('n', 1, nil, 10), dalli.incr('n', 5))
show('decr', dalli.decr('n', 8), dalli.decr('n', 100))

show('touch', dalli.touch('k', DAY))
show('touch of nothing', dalli.touch('nothing', DAY))
show('gat', dalli.gat('k', DAY), dalli.gat('nothing', DAY))
show('expiry 0', !!dalli.set('stays', 'x', 0), dalli.get('stays'))
show('expiry of a day', !!dalli.set('day', 'x', DAY), dalli.get('day'))
show('delete', dalli.delete('day'), dalli.get('day'))
show('delete of nothing', dalli.delete('day'))

# No line end among them: Dalli 3.2 takes one for the end of the value.
bytes = ((0..255).to_a.pack('C*') + "\nEN\nVA 1 f0\nx".b).freeze
show('binary bytes', !!dalli.set('bytes', bytes), dalli.get('bytes') == bytes)
big = bytes * 1_850
plain = client(compress: false)
show('500 KB', big.bytesize, !!plain.set('big', big, 0, raw), plain.get('big', raw).b == big)
show('2 MB', fails { plain.set('huge', Random.new(1).bytes(2**21), 0, raw) }, dalli.get('huge'))
show('objects', !!dalli.set('object', { a: [1, nil, 2.5], 'b' => :c }), dalli.get('object'))
show('compressed', !!dalli.set('zip', 'a' * 100_000), dalli.get('zip') == 'a' * 100_000)
show('longest key', !!dalli.set('l' * 250, 'x'), dalli.get('l' * 250))
show('key of other bytes', !!dalli.set('schlüssel', 'x'), dalli.get('schlüssel'))
show('key with a space', !!dalli.set('two words', 'x'), dalli.get('two words'), dalli.get_multi('two words'))
show('namespace', !!client(namespace: 'app').set('k', 'x'), dalli.get('app:k'))

many = (0...200).to_h { |i| ["many-#{i}", "value #{i}" * (i % 7)] }
dalli.quiet { many.each { |key, text| dalli.set(key, text) } }
found = dalli.get_multi(*many.keys, 'nothing')
show('200 quiet sets', found.size, found == many)
dalli.quiet { many.each_key { |key| dalli.delete(key) } }
show('200 quiet deletes', dalli.get_multi(*many.keys))
dalli.quiet do
  dalli.add('k', 'no')
  dalli.replace('nothing', 'no')
  dalli.incr('n', 5)
end
show('quiet failures', dalli.get('k'), dalli.get('nothing'), dalli.incr('n'))

show('version', dalli.version.values.map { |text| text.split('.').first })
stats = dalli.stats.values.first
show('stats', %w[pid curr_items cmd_get limit_maxbytes threads].map { |name| stats.key?(name) })
show('flush', dalli.flush, dalli.get('k'), dalli.get('big'))
show('set after it', !!dalli.set('k', 'new'), dalli.get('k'))
