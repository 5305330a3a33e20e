-- include: emit
-- Publishes one event.
-- KEYS    1 ns:log:<topic>  2 ns:topic:<topic>  3 ns:topics  4 ns:retained:<topic>
-- ARGV    1 channel  2 topic  3 body  4 lifetime as retained value: "" leave it, "0" drop it, "-1" for ever, else ms  5-8 limits
-- returns the id of the event
local id, stamped = emit({log = KEYS[1], head = KEYS[2], topics = KEYS[3]}, ARGV[1], ARGV[2], ARGV[3], limits_from(ARGV, 5))
if ARGV[4] == '0' then
  redis.call('DEL', KEYS[4])
elseif ARGV[4] == '-1' then
  redis.call('SET', KEYS[4], stamped)
elseif ARGV[4] ~= '' then
  redis.call('SET', KEYS[4], stamped, 'PX', ARGV[4])
end
return id
