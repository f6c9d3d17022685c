-- Appending events: numbers, streams, and the ids of the last 24 hours.

-- Seconds in one bucket of ids. Three buckets cover at least the last 24 h with three look-ups; hourly ones
-- would hold a fifth less and need 25.
local BUCKET = 43200
local bucket = math.floor(now() / 1000000 / BUCKET)
-- Most values handed to one command: Lua's stack ends at 8,000.
local CHUNK = 512

local function bucket_key(number)
    return prefix .. 'seen:' .. text(number)
end

-- Which of `ids` were appended or committed within the last 24 h.
local function seen(ids)
    local found = {}
    for first = 1, #ids, CHUNK do
        local last = math.min(first + CHUNK - 1, #ids)
        for back = 0, 2 do
            local flags = redis.call('SMISMEMBER', bucket_key(bucket - back), unpack(ids, first, last))
            for i = 1, #flags do
                if flags[i] == 1 then
                    found[ids[first + i - 1]] = true
                end
            end
        end
    end
    return found
end

local function remember(ids)
    for first = 1, #ids, CHUNK do
        redis.call('SADD', bucket_key(bucket), unpack(ids, first, math.min(first + CHUNK - 1, #ids)))
    end
    if #ids > 0 then
        redis.call('EXPIREAT', bucket_key(bucket), text((bucket + 3) * BUCKET), 'NX')
    end
end

-- The number of the last event, and how many this script has appended; `number_events` must follow.
local last_seq = tonumber(redis.call('GET', KEYS[1]) or '0')
local appended = 0

local function number_events()
    if appended > 0 then
        redis.call('INCRBY', KEYS[1], appended)
    end
end

-- Streams that were looked at, and whether they have entries. XLEN fails where the key is something else, before
-- anything is written.
local known_streams = {}

local function know_stream(stream)
    if known_streams[stream] == nil then
        known_streams[stream] = redis.call('XLEN', prefix .. stream) > 0
    end
end

-- Appends `events` or none of them: one that is refused takes back those before it. Answers with the error.
local function add(events)
    local ids = {}
    for i = 1, #events do
        local event, id = events[i], nil
        -- Numbers below 2^53 are passed on exactly.
        if event.maxlen and event.maxlen ~= '' then
            id = redis.pcall('XADD', prefix .. event.stream, 'MAXLEN', '~', event.maxlen, '*',
                'seq', last_seq + i, 'event', event.bytes)
        else
            id = redis.pcall('XADD', prefix .. event.stream, '*', 'seq', last_seq + i, 'event', event.bytes)
        end
        if type(id) == 'table' then
            for j = 1, i - 1 do
                redis.call('XDEL', prefix .. events[j].stream, ids[j])
            end
            return id
        end
        ids[i] = id
    end
    for i = 1, #events do
        local stream = events[i].stream
        if not known_streams[stream] then
            redis.call('SADD', prefix .. 'streams', stream)
            known_streams[stream] = true
        end
    end
    last_seq = last_seq + #events
    appended = appended + #events
    return nil
end
