-- include: notify.server.now
-- Makes a topic known before its first event.
-- KEYS    1 ns:topics
-- ARGV    1 topic  2 lifetime of the list in ms
-- returns 1 if it was unknown, else 0
local added = redis.call('ZADD', KEYS[1], 'NX', text(now_ms()), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return added
