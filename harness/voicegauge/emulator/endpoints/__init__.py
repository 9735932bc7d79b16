"""What each kind of operation answers: speech, audio input, resources, batches, chats, streams."""
