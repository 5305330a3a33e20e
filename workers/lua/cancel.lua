-- include: now
-- include: emit
-- include: loss
-- include: cancel_one
-- Cancels jobs of one queue that have not started.
-- KEYS    1 ns:losses  2 ns:services  3-6 rq:queue, rq:canceled, rq:deferred, rq:scheduled  7-9 log, head and list of the topic
--         10... rq:job:<id>, then ns:needs:<service> that forget those that wait no more
-- ARGV    1 "lost": only those that lost a service they need; "asked": all  2 reason
--         3-5 channel, topic, body  6 ended_at  7 keep_ms  8-10 limits  11 service for the outcome, or ""
--         12... ids in the order of the keys
-- returns {number cancelled, number that still waits}
local now = now_ms()
local k, to = cancel_keys(KEYS, 3), cancel_to(ARGV, 3, now)
local cancelled, waits = 0, 0
for i = 12, #ARGV do
  local id = ARGV[i]
  k.job = KEYS[i - 2]
  local status = redis.call('HGET', k.job, 'status')
  local need = ARGV[1] == 'lost' and status == 'queued' and lost_need(k.job, KEYS[1], KEYS[2])
  local waiting = status == 'queued' or status == 'deferred' or status == 'scheduled'
  if need or (ARGV[1] == 'asked' and waiting) then
    cancel_one(k, id, outcome_of('cancelled', ARGV[2], need or (ARGV[11] ~= '' and ARGV[11]), now), to)
    cancelled, waiting = cancelled + 1, false
  end
  if waiting then
    waits = waits + 1
  else
    for index = #ARGV - 1, #KEYS do
      redis.call('ZREM', KEYS[index], id)
    end
  end
end
return {cancelled, waits}
