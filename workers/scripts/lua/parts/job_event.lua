-- include: workers.scripts.prefixes
-- include: notify.events.append
-- include: workers.scripts.history
-- Publishes the events of jobs on the topics of their queues.
--
-- open_topic(queue) -> the head of the topic of a queue; it is read once
-- publish_job_event(queue, id, status, more): publishes an event, if the settings ask for events of that status
--   more   JSON members for its contents, each with a comma before it, or ""
-- close_topics(): writes the heads of the topics, and what was counted. Call it last in every script
local heads = {}

local function open_topic(queue)
  local topic = k.topic .. queue
  local head = {topic = topic, channel = k.channel .. topic, keys = {log = k.log .. topic, head = k.head .. topic, topics = k.topics}}
  head.epoch, head.last, head.touched = open_head(head.keys.head)
  head.before = k.body_begins .. cjson.encode(topic) .. BODY
  return head
end

local function publish_job_event(queue, id, status, more)
  if not string.find(k.published, status, 1, true) then return end
  local head = heads[queue]
  if head == nil then
    local opened, found = pcall(open_topic, queue)
    head = opened and found -- another program may have spoilt the keys of the topic: that must not keep jobs from their turn
    heads[queue] = head
  end
  if not head then return end
  local body = head.before .. '{"job":' .. cjson.encode(id) .. ',"status":"' .. status .. '"' .. more .. '}' .. k.body_ends
  local done, event, _, created, heard = pcall(append, head.keys.log, head.channel, body, head.epoch, head.last, k.limits, head.unheard)
  if done then -- without permission for the channel the event is lost, but the step that it reports stands
    head.last, head.touched, head.moved, head.unheard = event, not created and head.touched, true, heard == 0
  end
end

local function close_topics()
  write_history()
  for _, head in pairs(heads) do
    if head and head.moved then
      pcall(close_head, head.keys, head.topic, head.epoch, head.last, head.touched, k.limits)
    end
  end
end
