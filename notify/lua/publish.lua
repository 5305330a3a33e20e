-- include: emit
-- Publishes one event; with an idempotency key at most once.
-- KEYS    1 ns:log:<topic>  2 ns:topic:<topic>  3 ns:topics  4 ns:retained:<topic>  5 ns:once:<topic>:<key>, if there is a key
-- ARGV    1 channel  2 topic  3 body  4 lifetime as retained value: "" leave it, "0" drop it, "-1" for ever, else ms
--         5-7 limits  8 ms for which the key is remembered
-- returns the id of the event; of the first one, if the key was used before
if KEYS[5] then
  local first = redis.call('GET', KEYS[5])
  if first then return first end
end
local id, stamped = emit({log = KEYS[1], head = KEYS[2], topics = KEYS[3]}, ARGV[1], ARGV[2], ARGV[3], limits_from(ARGV, 5))
retain(KEYS[4], ARGV[4], stamped)
if KEYS[5] then
  redis.call('SET', KEYS[5], id, 'PX', ARGV[8])
end
return id
