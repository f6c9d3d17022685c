-- Appends events that answer to nothing in the log, all of them or none.
--
-- ARGV: the number of events, then of each: most entries of the stream or '', stream, container or '' where order is of
-- no interest, id or '' where it is not looked for among the last 24 hours, and the event. Answers with the numbers of those that were appended.

local all, ids = {}, {}
for i = 1, tonumber(take(1)) do
    local maxlen, stream, subject, id, bytes = take(5)
    local event = { stream = stream, maxlen = maxlen, subject = subject, id = id, bytes = bytes }
    all[i] = event
    know_stream(event.stream)
    if event.id ~= '' then
        table.insert(ids, event.id)
    end
end
redis.call('SCARD', prefix .. 'streams')
know_latest(all)

local done = seen(ids)
local events, fresh, numbers = {}, {}, {}
for _, event in ipairs(all) do
    if event.id == '' then
        table.insert(events, event)
    elseif not done[event.id] then
        done[event.id] = true
        table.insert(events, event)
        table.insert(fresh, event.id)
    end
end
for i = 1, #events do
    numbers[i] = last_seq + i
end
local refused = add(events)
if refused then
    return refused
end
number_events()
write_latest()
remember(fresh)
return numbers
